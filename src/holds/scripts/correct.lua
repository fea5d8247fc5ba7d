-- Corrects stock rows that have drifted. By how much, not to what: holds and sales that go on meanwhile stay counted.
-- KEYS        those of the partition, see fence.lua
-- ARGV[1]     epoch
-- ARGV[2...]  per row: "<shop>/", stock, capacity or "unlimited", change of held, change of sold
-- Outcomes:   corrected
for i = 2, #ARGV, 5 do
  local row = row_of(ARGV[i], ARGV[i + 1])
  if row then
    row.capacity = tonumber(ARGV[i + 2])
    row.held = row.held + tonumber(ARGV[i + 3])
    row.sold = row.sold + tonumber(ARGV[i + 4])
  end
end

write_rows()
return { 'corrected' }
