-- A small company, with enough rows that a query with a wrong filter, join or aggregate returns wrong rows.
CREATE TABLE departments (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    city TEXT NOT NULL
);

CREATE TABLE employees (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    department_id INTEGER REFERENCES departments(id),
    title TEXT NOT NULL,
    salary INTEGER NOT NULL,
    hired_on TEXT NOT NULL
);

CREATE TABLE projects (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    department_id INTEGER REFERENCES departments(id),
    budget INTEGER NOT NULL,
    status TEXT NOT NULL
);

CREATE TABLE assignments (
    employee_id INTEGER NOT NULL REFERENCES employees(id),
    project_id INTEGER NOT NULL REFERENCES projects(id),
    hours INTEGER NOT NULL,
    PRIMARY KEY (employee_id, project_id)
);

INSERT INTO departments VALUES
    (1, 'Engineering', 'Leeds'),
    (2, 'Marketing', 'Bristol'),
    (3, 'Finance', 'Leeds'),
    (4, 'Support', 'Cardiff'),
    (5, 'Research', 'Bristol');

INSERT INTO employees VALUES
    (1, 'Amara Okafor', 1, 'engineer', 61000, '2016-03-14'),
    (2, 'Ben Whitlock', 1, 'engineer', 54500, '2019-09-02'),
    (3, 'Carla Mendes', 1, 'manager', 78000, '2012-01-16'),
    (4, 'Dylan Rhys', 2, 'designer', 43000, '2020-06-22'),
    (5, 'Elif Yilmaz', 2, 'manager', 69500, '2014-11-03'),
    (6, 'Farid Nouri', 3, 'accountant', 48000, '2018-04-09'),
    (7, 'Grace Lin', 3, 'manager', 72000, '2011-08-29'),
    (8, 'Hugo Marten', 4, 'agent', 31500, '2021-02-01'),
    (9, 'Ines Varga', 4, 'agent', 33000, '2019-05-13'),
    (10, 'Jonas Weil', 4, 'manager', 52000, '2015-10-19'),
    (11, 'Keiko Sato', 5, 'scientist', 67000, '2017-07-03'),
    (12, 'Liam Byrne', 5, 'scientist', 64000, '2022-01-10'),
    (13, 'Mona Haddad', NULL, 'contractor', 39000, '2022-03-28'),
    (14, 'Nils Berg', 1, 'engineer', 54500, '2021-11-15');

INSERT INTO projects VALUES
    (1, 'Harbour', 1, 180000, 'active'),
    (2, 'Juniper', 1, 95000, 'finished'),
    (3, 'Lantern', 2, 40000, 'active'),
    (4, 'Meridian', 5, 260000, 'active'),
    (5, 'Orchard', 3, 30000, 'paused'),
    (6, 'Pinnacle', 5, 120000, 'paused'),
    (7, 'Quill', 2, 55000, 'finished'),
    (8, 'Ridgeway', 4, 22000, 'active');

INSERT INTO assignments VALUES
    (1, 1, 320), (1, 2, 150), (2, 1, 410), (3, 1, 90), (3, 4, 60),
    (4, 3, 275), (4, 7, 130), (5, 3, 80), (6, 5, 210), (8, 8, 160),
    (9, 8, 240), (11, 4, 500), (11, 6, 120), (12, 4, 380), (14, 2, 200);
