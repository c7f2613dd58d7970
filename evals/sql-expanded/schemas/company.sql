create table departments(
  id integer primary key,
  name text not null,
  city text not null
);
create table employees(
  id integer primary key,
  name text not null,
  dept_id integer not null references departments(id),
  level text not null,
  salary integer not null,
  hired integer not null
);
create table projects(
  id integer primary key,
  name text not null,
  dept_id integer not null references departments(id),
  budget integer not null,
  status text not null
);

insert into departments values
  (1, 'Research', 'Berlin'),
  (2, 'Sales', 'Lisbon'),
  (3, 'Operations', 'Dublin'),
  (4, 'Accounting', 'Lisbon'),
  (5, 'Marketing', 'Berlin'),
  (6, 'Legal', 'Lisbon');

insert into employees values
  (1, 'Marta Klein', 1, 'senior', 71000, 2017),
  (2, 'Jonas Weber', 1, 'junior', 52000, 2022),
  (3, 'Ines Duarte', 2, 'senior', 60000, 2018),
  (4, 'Liam Byrne', 3, 'junior', 41000, 2023),
  (5, 'Rui Campos', 4, 'principal', 88000, 2012),
  (6, 'Priya Nair', 1, 'principal', 104000, 2013),
  (7, 'Tom Keane', 3, 'senior', 50000, 2019),
  (8, 'Sara Lindt', 5, 'senior', 63000, 2016),
  (9, 'Hugo Prado', 2, 'junior', 45000, 2021),
  (10, 'Elena Vogt', 1, 'senior', 76000, 2015),
  (11, 'Beatriz Melo', 6, 'principal', 97000, 2011),
  (12, 'Oscar Holm', 1, 'senior', 70000, 2020),
  (13, 'Nadia Rossi', 2, 'principal', 82000, 2010),
  (14, 'Aoife Nolan', 3, 'senior', 48000, 2014),
  (15, 'Pedro Alves', 2, 'senior', 61000, 2020),
  (16, 'Yusuf Demir', 1, 'junior', 55000, 2023),
  (17, 'Clara Brandt', 5, 'junior', 43000, 2022),
  (18, 'David Sousa', 4, 'senior', 67000, 2018),
  (19, 'Mei Tanaka', 1, 'principal', 111000, 2014),
  (20, 'Joana Pinto', 2, 'senior', 58000, 2016),
  (21, 'Conor Walsh', 3, 'senior', 51000, 2021),
  (22, 'Anton Fischer', 1, 'senior', 80000, 2012),
  (23, 'Sofia Ramos', 2, 'junior', 47000, 2024),
  (24, 'Greta Hahn', 5, 'principal', 90000, 2009),
  (25, 'Miguel Torres', 4, 'senior', 65000, 2021),
  (26, 'Orla Quinn', 3, 'junior', 40000, 2024),
  (27, 'Paulo Reis', 6, 'senior', 72000, 2019),
  (28, 'Lena Schuster', 1, 'junior', 57000, 2021),
  (29, 'Filipa Costa', 2, 'senior', 64000, 2013),
  (30, 'Andre Lopes', 4, 'junior', 49000, 2020);

insert into projects values
  (1, 'Harbor', 2, 60000, 'active'),
  (2, 'Atlas', 1, 150000, 'active'),
  (3, 'Ledger', 4, 45000, 'finished'),
  (4, 'Compass', 1, 90000, 'planned'),
  (5, 'Helpline', 3, 30000, 'active'),
  (6, 'Falcon', 1, 210000, 'active'),
  (7, 'Mosaic', 5, 75000, 'paused'),
  (8, 'Charter', 6, 25000, 'active'),
  (9, 'Beacon', 1, 120000, 'paused'),
  (10, 'Orchard', 2, 40000, 'planned'),
  (11, 'Lantern', 5, 55000, 'planned'),
  (12, 'Summit', 2, 100000, 'active'),
  (13, 'Quarry', 1, 80000, 'finished'),
  (14, 'Ripple', 3, 50000, 'paused'),
  (15, 'Treasury', 4, 70000, 'active'),
  (16, 'Voyager', 1, 135000, 'planned'),
  (17, 'Billboard', 5, 35000, 'active');
