# a query a line; joins go by row id, or by a table that the query makes
SELECT carrier, count(*) FROM flights GROUP BY carrier ORDER BY carrier
SELECT a.name, count(*), max(f.distance) FROM flights f JOIN airlines a ON a.row_id = f.carrier GROUP BY a.name ORDER BY a.name
SELECT origin, month, min(dep_delay), max(dep_delay), count(dep_delay) FROM flights GROUP BY origin, month ORDER BY origin, month
SELECT p.manufacturer, count(DISTINCT f.tailnum) FROM flights f JOIN planes p ON p.row_id = f.tailnum GROUP BY p.manufacturer ORDER BY 2 DESC, 1 LIMIT 10
SELECT f.dest, d.name, count(*) AS n FROM flights f LEFT JOIN airports d ON d.row_id = f.dest GROUP BY f.dest, d.name ORDER BY n DESC, f.dest LIMIT 20
SELECT count(*) FROM flights f WHERE NOT EXISTS (SELECT 1 FROM planes p WHERE p.row_id = f.tailnum)
SELECT w.origin, max(w.wind_speed), min(w.temp), count(w.wind_gust) FROM weather w GROUP BY w.origin ORDER BY w.origin
SELECT f.carrier, f.flight, f.tailnum, f.arr_delay FROM flights f WHERE f.arr_delay IS NOT NULL ORDER BY f.arr_delay DESC, f.row_id LIMIT 5
WITH wet AS MATERIALIZED (SELECT origin, time_hour FROM weather WHERE precip > 0.1) SELECT count(*), sum(f.distance) FROM flights f JOIN wet USING (origin, time_hour)
SELECT tzone, count(*), max(alt) FROM airports WHERE tzone IS NOT NULL GROUP BY tzone HAVING count(*) > 3 ORDER BY tzone
