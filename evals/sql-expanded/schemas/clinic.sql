create table doctors(
  id integer primary key,
  name text not null,
  field text not null,
  room integer not null
);
create table patients(
  id integer primary key,
  name text not null,
  town text not null,
  age integer not null
);
create table visits(
  id integer primary key,
  patient_id integer not null references patients(id),
  doctor_id integer not null references doctors(id),
  reason text not null,
  fee integer not null
);

insert into doctors values
  (1, 'Dr Abara', 'heart', 12),
  (2, 'Dr Novak', 'skin', 4),
  (3, 'Dr Ellis', 'family', 7),
  (4, 'Dr Romero', 'eyes', 15),
  (5, 'Dr Chen', 'heart', 9),
  (6, 'Dr Sharma', 'family', 3);

insert into patients values
  (1, 'Olive Bard', 'Kendal', 47),
  (2, 'Ruben Stahl', 'Penrith', 63),
  (3, 'Mabel Cho', 'Kendal', 8),
  (4, 'Isaac Doyle', 'Whitby', 35),
  (5, 'Tara Singh', 'Selby', 44),
  (6, 'Walter Finch', 'Kendal', 80),
  (7, 'Lena Abbas', 'Whitby', 52),
  (8, 'Gil Moreno', 'Penrith', 19),
  (9, 'Edith Kerr', 'Kendal', 71),
  (10, 'Yann Dubois', 'Selby', 29),
  (11, 'Poppy Lane', 'Kendal', 16),
  (12, 'Hector Ruiz', 'Whitby', 60),
  (13, 'Nina Falk', 'Penrith', 38),
  (14, 'Boris Hale', 'Kendal', 55),
  (15, 'Celia Wynn', 'Whitby', 24),
  (16, 'Arthur Bell', 'Selby', 66),
  (17, 'Dora Pike', 'Kendal', 40),
  (18, 'Samir Nasr', 'Whitby', 77),
  (19, 'Freya Lund', 'Penrith', 50),
  (20, 'Jude Ross', 'Whitby', 12),
  (21, 'Ada Quill', 'Malton', 33),
  (22, 'Tobias Grey', 'Kendal', 26);

insert into visits values
  (1, 6, 1, 'chest pain', 180),
  (2, 3, 3, 'fever', 45),
  (3, 1, 3, 'cough', 50),
  (4, 8, 2, 'rash', 90),
  (5, 12, 5, 'chest pain', 210),
  (6, 2, 1, 'check-up', 120),
  (7, 5, 3, 'fever', 55),
  (8, 10, 4, 'blurred vision', 140),
  (9, 15, 6, 'cough', 40),
  (10, 9, 1, 'chest pain', 195),
  (11, 4, 3, 'check-up', 60),
  (12, 11, 2, 'rash', 85),
  (13, 17, 3, 'back pain', 70),
  (14, 7, 6, 'fever', 48),
  (15, 13, 3, 'cough', 52),
  (16, 20, 6, 'fever', 42),
  (17, 18, 5, 'check-up', 130),
  (18, 14, 3, 'back pain', 75),
  (19, 16, 1, 'check-up', 125),
  (20, 19, 4, 'check-up', 100),
  (21, 1, 1, 'chest pain', 170),
  (22, 6, 3, 'cough', 58),
  (23, 22, 6, 'back pain', 65),
  (24, 2, 4, 'blurred vision', 150),
  (25, 11, 3, 'fever', 44),
  (26, 21, 2, 'rash', 110),
  (27, 9, 3, 'cough', 47),
  (28, 4, 3, 'check-up', 62),
  (29, 18, 1, 'check-up', 135),
  (30, 7, 2, 'check-up', 95),
  (31, 12, 1, 'check-up', 115),
  (32, 17, 6, 'fever', 43);
