create table teachers(
  id integer primary key,
  name text not null,
  subject text not null,
  years integer not null
);
create table classes(
  id integer primary key,
  name text not null,
  teacher_id integer not null references teachers(id),
  room text not null
);
create table pupils(
  id integer primary key,
  name text not null,
  class_id integer not null references classes(id),
  age integer not null,
  club text not null,
  score integer not null
);

insert into teachers values
  (1, 'Ms Hughes', 'maths', 12),
  (2, 'Mr Patel', 'science', 7),
  (3, 'Mrs Boyd', 'history', 21),
  (4, 'Mr Sato', 'maths', 3),
  (5, 'Ms Ferrari', 'art', 9),
  (6, 'Mr Lowe', 'science', 16),
  (7, 'Mrs Kaya', 'maths', 5);

insert into classes values
  (1, '4A', 2, 'B12'),
  (2, '4B', 5, 'B14'),
  (3, '5A', 1, 'C03'),
  (4, '5B', 3, 'C07'),
  (5, '6A', 6, 'D21'),
  (6, '6B', 4, 'D18');

insert into pupils values
  (1, 'Leo', 1, 9, 'chess', 71),
  (2, 'Mina', 3, 10, 'choir', 84),
  (3, 'Oskar', 5, 12, 'robotics', 65),
  (4, 'Farah', 1, 10, 'drama', 90),
  (5, 'Jack', 2, 9, 'football', 58),
  (6, 'Elsa', 1, 9, 'choir', 76),
  (7, 'Tariq', 4, 11, 'football', 62),
  (8, 'Nell', 3, 11, 'chess', 93),
  (9, 'Ravi', 5, 11, 'football', 80),
  (10, 'Cleo', 2, 10, 'drama', 67),
  (11, 'Piotr', 1, 9, 'football', 49),
  (12, 'Anya', 6, 12, 'choir', 88),
  (13, 'Marcus', 3, 10, 'football', 70),
  (14, 'Ines', 5, 12, 'chess', 97),
  (15, 'Dylan', 1, 10, 'robotics', 55),
  (16, 'Ruth', 4, 10, 'choir', 79),
  (17, 'Kofi', 3, 11, 'robotics', 60),
  (18, 'Lucy', 1, 10, 'football', 82),
  (19, 'Sven', 6, 12, 'football', 53),
  (20, 'Hana', 3, 10, 'choir', 75),
  (21, 'Theo', 5, 11, 'choir', 46),
  (22, 'Maya', 1, 9, 'chess', 86),
  (23, 'Finn', 4, 11, 'robotics', 73),
  (24, 'Zara', 2, 9, 'football', 91),
  (25, 'Igor', 5, 12, 'robotics', 50),
  (26, 'Nora', 4, 11, 'chess', 95),
  (27, 'Abel', 1, 10, 'choir', 64),
  (28, 'Tilda', 3, 10, 'football', 78);
