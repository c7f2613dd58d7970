create table books(
  id integer primary key,
  title text not null,
  author text not null,
  genre text not null,
  pages integer not null,
  year integer not null
);
create table readers(
  id integer primary key,
  name text not null,
  town text not null,
  age integer not null
);
create table loans(
  id integer primary key,
  book_id integer not null references books(id),
  reader_id integer not null references readers(id),
  days integer not null
);

insert into books values
  (1, 'The Winter Garden', 'Hanna Bergman', 'romance', 320, 2004),
  (2, 'Night Ferry', 'Paul Okoye', 'mystery', 280, 2015),
  (3, 'River of Glass', 'Marisol Vega', 'fantasy', 450, 2011),
  (4, 'A Short History of Salt', 'Edwin Crane', 'history', 210, 1998),
  (5, 'The Silent Tower', 'Marisol Vega', 'fantasy', 520, 2014),
  (6, 'Letters from the Sea', 'Hanna Bergman', 'romance', 240, 2009),
  (7, 'The Third Key', 'Paul Okoye', 'mystery', 300, 2018),
  (8, 'Stone Bridges', 'Edwin Crane', 'history', 380, 2006),
  (9, 'Garden of Ashes', 'Lucia Moretti', 'romance', 410, 2016),
  (10, 'Birds at Dusk', 'Amir Rahimi', 'poetry', 96, 2012),
  (11, 'The Last Harbour', 'Hanna Bergman', 'romance', 350, 2019),
  (12, 'Murder on Elm Street', 'Grace Whitlock', 'mystery', 260, 1987),
  (13, 'The Dragon and the Bridge', 'Marisol Vega', 'fantasy', 610, 2020),
  (14, 'Kings of the North', 'Edwin Crane', 'history', 490, 2013),
  (15, 'Small Hours', 'Amir Rahimi', 'poetry', 112, 2021),
  (16, 'House by the Sea', 'Lucia Moretti', 'romance', 290, 2001),
  (17, 'The Glass Key', 'Grace Whitlock', 'mystery', 340, 1994),
  (18, 'Winter Roads', 'Tomas Lind', 'romance', 400, 1979),
  (19, 'The Sea King', 'Nora Quist', 'fantasy', 370, 2017),
  (20, 'A Bridge in Winter', 'Lucia Moretti', 'romance', 200, 2022),
  (21, 'The Night Watchman', 'Hanna Bergman', 'mystery', 310, 2010),
  (22, 'The Salt Road', 'Hanna Bergman', 'romance', 270, 2008);

insert into readers values
  (1, 'Wanda Pryce', 'Harlow', 34),
  (2, 'Felix Moore', 'Denby', 52),
  (3, 'Isla Grant', 'Harlow', 19),
  (4, 'Noah Fields', 'Corley', 41),
  (5, 'Greta Olsen', 'Denby', 67),
  (6, 'Ben Archer', 'Harlow', 28),
  (7, 'Zoe Hart', 'Milton', 45),
  (8, 'Ivan Petrov', 'Corley', 73),
  (9, 'Amy Dale', 'Harlow', 23),
  (10, 'Karl Jensen', 'Denby', 38),
  (11, 'Lola Reyes', 'Harlow', 58),
  (12, 'Max Turner', 'Milton', 31),
  (13, 'Ruby Shaw', 'Denby', 26),
  (14, 'Sam Ito', 'Harlow', 49),
  (15, 'Tess Malone', 'Corley', 62);

insert into loans values
  (1, 3, 1, 14),
  (2, 7, 2, 21),
  (3, 1, 3, 10),
  (4, 12, 1, 7),
  (5, 5, 4, 30),
  (6, 9, 1, 18),
  (7, 13, 6, 28),
  (8, 2, 5, 12),
  (9, 17, 2, 9),
  (10, 8, 7, 25),
  (11, 19, 3, 16),
  (12, 6, 8, 11),
  (13, 3, 6, 20),
  (14, 14, 10, 35),
  (15, 10, 11, 5),
  (16, 21, 2, 13),
  (17, 11, 7, 19),
  (18, 4, 14, 8),
  (19, 5, 6, 24),
  (20, 16, 9, 15),
  (21, 20, 5, 6),
  (22, 15, 12, 4),
  (23, 1, 13, 17),
  (24, 18, 1, 22),
  (25, 7, 15, 27),
  (26, 22, 4, 23),
  (27, 13, 10, 33),
  (28, 2, 6, 3);
