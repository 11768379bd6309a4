-- add.lua writes a page of live orders, or of what shoppers have returned, into a
-- load that nobody sees yet. A repeated page changes nothing. The field ' n' counts
-- the entries written; no shopper has this name.
--   KEYS  load
--   ARGV  milliseconds until an abandoned load disappears, then per entry:
--         shopper, entry
--   Returns {entries written so far, shoppers written so far}.
local shoppers, lists = {}, {}
for i = 2, #ARGV, 2 do
  local s = ARGV[i]
  if not lists[s] then
    lists[s] = {}
    shoppers[#shoppers + 1] = s
  end
end
for i, v in ipairs(read_all(KEYS[1], shoppers)) do lists[shoppers[i]] = parse(v) end

local added = 0
for i = 2, #ARGV, 2 do
  local list = lists[ARGV[i]]
  local e = parse(ARGV[i + 1])[1]
  if not find(list, e.id) then
    list[#list + 1] = e
    added = added + 1
  end
end

local set = {}
for _, s in ipairs(shoppers) do
  set[#set + 1] = s
  set[#set + 1] = join(lists[s])
end
in_pieces('HSET', KEYS[1], set)
local n = redis.call('HINCRBY', KEYS[1], ' n', added)
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return { n, redis.call('HLEN', KEYS[1]) - 1 }
