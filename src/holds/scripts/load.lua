-- Makes stock rows known. Of a row that is known only the capacity is set: its counts follow the baskets.
-- KEYS        those of the partition, see fence.lua
-- ARGV[1]     epoch
-- ARGV[2...]  per row: "<shop>/", stock, capacity or "unlimited", held, sold
-- Outcomes:   loaded
for i = 2, #ARGV, 5 do
  local known = row_of(ARGV[i], ARGV[i + 1])
  rows[ARGV[i] .. ARGV[i + 1]] = {
    capacity = tonumber(ARGV[i + 2]),
    held = known and known.held or tonumber(ARGV[i + 3]),
    admitted = known and known.admitted or 0,
    sold = known and known.sold or tonumber(ARGV[i + 4]),
  }
end

write_rows()
return { 'loaded' }
