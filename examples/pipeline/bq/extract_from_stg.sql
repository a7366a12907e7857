-- What is a value is a query parameter (@name); only names are filled into the text.
INSERT INTO `{project}.{dataset}.{tabledestination}` (id, category, lastdate)
SELECT id, category, lastdate
FROM `{project}.{dataset}.{tablesource}`
WHERE EXTRACT(YEAR FROM lastdate) = CAST(@year AS INT64) AND category = @category
