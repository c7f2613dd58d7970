create table stores(
  id integer primary key,
  city text not null,
  region text not null,
  manager text not null
);
create table items(
  id integer primary key,
  name text not null,
  category text not null,
  price integer not null
);
create table sales(
  id integer primary key,
  store_id integer not null references stores(id),
  item_id integer not null references items(id),
  units integer not null,
  month text not null
);

insert into stores values
  (1, 'Leeds', 'north', 'Dana Frost'),
  (2, 'Bath', 'west', 'Omar Aziz'),
  (3, 'York', 'north', 'Petra Lang'),
  (4, 'Exeter', 'west', 'Colin Marsh'),
  (5, 'Durham', 'north', 'Ruth Adeyemi'),
  (6, 'Brighton', 'south', 'Vera Stone');

insert into items values
  (1, 'oak table', 'furniture', 320),
  (2, 'desk lamp', 'lighting', 45),
  (3, 'bread knife', 'kitchen', 18),
  (4, 'armchair', 'furniture', 250),
  (5, 'rake', 'garden', 22),
  (6, 'wool blanket', 'bedding', 60),
  (7, 'bookcase', 'furniture', 180),
  (8, 'floor lamp', 'lighting', 95),
  (9, 'frying pan', 'kitchen', 40),
  (10, 'stool', 'furniture', 35),
  (11, 'lantern', 'lighting', 30),
  (12, 'kettle', 'kitchen', 50),
  (13, 'watering can', 'garden', 15),
  (14, 'wardrobe', 'furniture', 410),
  (15, 'pillow', 'bedding', 12),
  (16, 'wall light', 'lighting', 70),
  (17, 'lawn mower', 'garden', 290),
  (18, 'bench', 'furniture', 120),
  (19, 'teapot', 'kitchen', 25),
  (20, 'chandelier', 'lighting', 380);

insert into sales values
  (1, 1, 3, 6, 'March'),
  (2, 3, 2, 4, 'March'),
  (3, 1, 9, 3, 'March'),
  (4, 6, 13, 9, 'April'),
  (5, 2, 12, 5, 'March'),
  (6, 1, 1, 1, 'April'),
  (7, 4, 15, 12, 'March'),
  (8, 3, 7, 2, 'April'),
  (9, 1, 11, 7, 'May'),
  (10, 5, 19, 8, 'April'),
  (11, 3, 5, 10, 'May'),
  (12, 1, 15, 14, 'April'),
  (13, 6, 16, 3, 'May'),
  (14, 2, 3, 11, 'May'),
  (15, 1, 10, 5, 'May'),
  (16, 3, 13, 6, 'April'),
  (17, 5, 6, 4, 'May'),
  (18, 1, 2, 9, 'June'),
  (19, 4, 9, 7, 'May'),
  (20, 3, 18, 1, 'May'),
  (21, 1, 19, 10, 'June'),
  (22, 2, 5, 3, 'June'),
  (23, 6, 3, 8, 'June'),
  (24, 3, 12, 4, 'June'),
  (25, 1, 17, 2, 'May'),
  (26, 5, 10, 6, 'June'),
  (27, 3, 3, 13, 'April'),
  (28, 1, 8, 3, 'March'),
  (29, 2, 15, 10, 'April'),
  (30, 6, 10, 2, 'March'),
  (31, 3, 4, 1, 'June'),
  (32, 1, 12, 6, 'May'),
  (33, 4, 2, 5, 'June'),
  (34, 2, 11, 4, 'May'),
  (35, 3, 14, 1, 'May'),
  (36, 1, 13, 8, 'May'),
  (37, 6, 15, 7, 'May'),
  (38, 3, 9, 5, 'June'),
  (39, 2, 10, 3, 'April'),
  (40, 4, 13, 11, 'June'),
  (41, 2, 16, 2, 'June');
