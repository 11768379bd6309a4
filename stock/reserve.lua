-- reserve.lua is T1: absent -> P for up to a few hundred orders of one sale.
--   KEYS  meta, orders, due
--   ARGV  lease in ms, then per order: shopper, ID, quantity,
--         tail ('' | ,key | ,key,reference), terms ('' | <attempts> |
--         <attempts>,<when its permit was issued, in ms>)
--   Returns {'not_loaded'}, or {'ok', available, one answer per order}:
--     +<slot>   reserved, now or by an earlier run of this very call
--     r<entry>  the key names this order      l<entry>  purchase limit
--     s sold out   n not open yet   e ended   p paused
--     u so many orders returned that there are no more attempts
--     w<ms> to wait after the last return   v the permit was spent by a return
-- It checks, in this order: own ID, replay of the key, state, window by the time
-- of Redis, free slot, returns, units. Orders of one shopper see each other. A reserved
-- order is due for the sweeper one lease later.
local m = redis.call('HMGET', KEYS[1], 'state', 'starts', 'ends', 'limit', 'available')
if not m[1] then return { 'not_loaded' } end
local limit, available, now = tonumber(m[4]), tonumber(m[5]), now_ms()

local closed
if m[1] == 'paused' then closed = 'p'
elseif m[1] == 'scheduled' then closed = 'n'
elseif m[1] ~= 'open' then closed = 'e'
elseif now < tonumber(m[2]) then closed = 'n'
elseif now >= tonumber(m[3]) then closed = 'e' end

local shoppers, values, set = {}, {}, {}
for i = 2, #ARGV, 5 do shoppers[#shoppers + 1] = ARGV[i] end
for i, v in ipairs(read_all(KEYS[2], shoppers)) do values[shoppers[i]] = v end

-- replay answers a repeated call: with the order's own ID, in any state; else
-- with the order that the key names. An explicit key names any entry, a live one
-- first; a call without a key names the live entry without one.
local function replay(list, id, key)
  local own = find(list, id)
  if own then return '+' .. own.slot end
  local named
  for _, e in ipairs(list) do
    if key_of(e.tail) == key and (live(e) or key ~= '') and not (named and live(named)) then named = e end
  end
  if named then return 'r' .. format(named) end
end

-- free_slot returns the lowest slot that no live entry holds; nil and the last
-- live entry if there is none.
local function free_slot(list)
  local used, last = {}, nil
  for _, e in ipairs(list) do
    if live(e) then
      used[e.slot] = true
      last = e
    end
  end
  for k = 0, limit - 1 do
    if not used[tostring(k)] then return tostring(k) end
  end
  return nil, last
end

-- pauses are the seconds before a shopper who has returned so many orders may buy
-- again; the last one stands for all after it.
local pauses = { 10, 60, 300, 600 }

-- returned refuses a shopper who has returned orders of a sale with a limit. A
-- return in the future, after the clock was set back, delays nobody.
local function returned(list, terms)
  local e = find(list, returns_id)
  if not e or terms == '' then return nil end
  local attempts, permit = string.match(terms, '^(%d+),?(%d*)$')
  local n = tonumber(e.q)
  if n >= tonumber(attempts) then return 'u' end
  local at = tonumber(string.sub(e.tail, 3))
  if at > now then return nil end
  local left = at + 1000 * pauses[math.min(n, #pauses)] - now
  if left > 0 then return 'w' .. string.format('%.0f', left) end
  if permit ~= '' and tonumber(permit) <= at then return 'v' end
end

local out, due = { 'ok', 0 }, {}
local stamp = string.format('%.0f', now + tonumber(ARGV[1])) .. ','
local taken = 0

-- take gives an order its units and its entry, or answers that too few are left.
local function take(s, id, slot, q, tail)
  local units = taken + q
  if units > available then return 's' end
  taken = units
  local entry = 'P' .. id .. ',' .. slot .. ',' .. q .. tail
  entry = values[s] and values[s] .. '\n' .. entry or entry
  values[s] = entry
  set[#set + 1] = s
  set[#set + 1] = entry
  due[#due + 1] = stamp .. id .. ',' .. s
  return '+' .. slot
end

local function reserve(s, id, q, tail, terms)
  if not values[s] then return closed or take(s, id, '0', q, tail) end
  local list = parse(values[s])
  local answer = replay(list, id, key_of(tail))
  if answer then return answer end
  if closed then return closed end
  local slot, last = free_slot(list)
  if not slot then return 'l' .. format(last) end
  return returned(list, terms) or take(s, id, slot, q, tail)
end

for i = 2, #ARGV, 5 do
  out[#out + 1] = reserve(ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4])
end

if taken > 0 then
  in_pieces('HSET', KEYS[2], set)
  in_pieces('RPUSH', KEYS[3], due)
  redis.call('HINCRBY', KEYS[1], 'available', -taken)
  redis.call('HINCRBY', KEYS[1], 'pending', taken)
end
out[2] = available - taken
return out
