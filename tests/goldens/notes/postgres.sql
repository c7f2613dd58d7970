-- The tables that the snippets of src/db/notes/postgres.md read.
CREATE TABLE sales (id integer PRIMARY KEY, region text NOT NULL, amount numeric(10, 2), sold_at timestamp NOT NULL, payload jsonb);
CREATE TABLE visits (id integer PRIMARY KEY, person text NOT NULL, day date NOT NULL);
INSERT INTO sales VALUES
  (1, 'north', 120.50, '2026-01-05 09:30:00', '{"city": "Oslo", "code": "17", "due": "2026-02-01", "items": [{"sku": "A1", "count": 2}, {"sku": "B2", "count": 1}]}'),
  (2, 'north', 80.00, '2026-01-20 14:00:00', '{"city": "Bergen", "code": "n/a", "due": "soon", "items": []}'),
  (3, 'north', 35.25, '2026-02-03 08:15:00', '{"city": "Oslo", "code": "", "due": ""}'),
  (4, 'south', 210.00, '2026-02-10 17:45:00', '{"city": "Lima", "code": "8", "due": "2026-03-15", "items": [{"sku": "A1", "count": 5}]}'),
  (5, 'south', NULL, '2026-03-01 00:00:00', NULL);
INSERT INTO visits VALUES (1, 'Ada', '2026-01-01'), (2, 'Bo', '2026-01-01'), (3, 'Ada', '2026-01-03'), (4, 'Cy', '2026-01-09');
