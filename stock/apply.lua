-- apply.lua applies one change of a sale: T5, T6 and T8 for its orders, its
-- effect on the sale itself, and the cursor. It also replays verdicts.
--   KEYS  meta, orders
--   ARGV  seq of the change, 0 for a replay of verdicts that were only read;
--         units, state, starts, ends of the sale effect (units '' for none);
--         2 x the number of shoppers who returned orders, then for each of them:
--         shopper, orders returned; then per order: shopper, quantity, and the entry that its row stands
--         for (S, R, C), with the same quantity
--   Returns {'not_loaded'}, or {status, available before, after, entries changed}:
--     next      next in line: applied, and the cursor moved past it
--     early     ahead of the cursor: orders applied, and the change marked e<seq>
--     waiting   ahead, with a sale effect or by over 1,000: nothing was applied
--     done      at or before the cursor, or marked, or a replay
-- Every effect on an order is a compare-and-set: P -> S, R, C and S -> C, no
-- other. From absent, S (adopt) and C (tombstone) act only for a change that is
-- applied for the first time ('next' and 'early'). A change that is marked, or
-- at or before the cursor, has been applied: if its order is absent now, the
-- order died since then and was trimmed.
-- When Redis loses its last writes, all keys of a sale go back together. So the
-- cursor and the marks always match the entries.
-- Of what a shopper has returned the highest number counts that any change has
-- told, applied for the first time or again.
-- A shopper's last 4 dead entries are kept. While a mark is outstanding, none is
-- dropped: a cancellation may be marked before its confirmation has come, and
-- only the entry keeps that confirmation from adopting the order.
local ahead_most, dead_most = 1000, 4

local m = redis.call('HMGET', KEYS[1], 'applied', 'seen', 'available')
if not m[1] then return { 'not_loaded' } end
local applied, seen = tonumber(m[1]), tonumber(m[2] or '0')
local before = tonumber(m[3])
local seq = tonumber(ARGV[1])
local of_sale = ARGV[2] ~= ''

local function mark(n) return 'e' .. string.format('%.0f', n) end

local status = 'done'
if seq == applied + 1 then
  status = 'next'
elseif seq > applied and redis.call('HEXISTS', KEYS[1], mark(seq)) == 0 then
  if of_sale or seq > applied + ahead_most then return { 'waiting', before, before, 0 } end
  status = 'early'
end
local first_time = status ~= 'done'

-- The cursor first: whether marks remain decides about trimming.
if status == 'next' then
  applied = seq
  local passed = {}
  while applied < seen and redis.call('HEXISTS', KEYS[1], mark(applied + 1)) == 1 do
    applied = applied + 1
    passed[#passed + 1] = mark(applied)
  end
  in_pieces('HDEL', KEYS[1], passed)
  redis.call('HSET', KEYS[1], 'applied', string.format('%.0f', applied))
elseif status == 'early' then
  seen = math.max(seen, seq)
  redis.call('HSET', KEYS[1], mark(seq), '1', 'seen', string.format('%.0f', seen))
end
local may_trim = seen <= applied

local shoppers, values, set = {}, {}, {}
local first_order = 7 + tonumber(ARGV[6])
for i = first_order, #ARGV, 3 do shoppers[#shoppers + 1] = ARGV[i] end
for i, v in ipairs(read_all(KEYS[2], shoppers)) do values[shoppers[i]] = v end

local available, pending, settled, changed = 0, 0, 0, 0

-- settle is T5. The entry takes the slot of its row. A pending order that held
-- this slot has none until its own verdict.
local function settle(list, e, to)
  if e and e.state == 'P' then
    pending = pending - e.q
    settled = settled + e.q
    local key = key_of(e.tail)
    e.tail = key ~= '' and ',' .. key or ''
  elseif not e and first_time then
    e = to
    list[#list + 1] = e
    available = available - e.q
    settled = settled + e.q
  else
    return false
  end
  e.state, e.slot = 'S', to.slot
  for _, other in ipairs(list) do
    if other.state == 'P' and other.slot == to.slot then other.slot = '-' end
  end
  return true
end

-- end_order is T6 (to R) and T8 (to C). It gives back the quantity of the entry.
-- Dead entries are at the end of the list, oldest first.
local function end_order(list, e, at, to)
  if e and (e.state == 'P' or e.state == 'S' and to.state == 'C') then
    available = available + e.q
    if e.state == 'P' then pending = pending - e.q else settled = settled - e.q end
    local key = key_of(e.tail)
    to.tail = key ~= '' and ',' .. key or ''
    to.q = e.q
    table.remove(list, at)
  elseif e or to.state ~= 'C' or not first_time then
    return false
  end
  to.slot = '-'
  list[#list + 1] = to
  return true
end

-- trim drops the oldest dead entries beyond dead_most, and reports whether there
-- were any.
local function trim(list)
  local dead = 0
  for i = #list, 1, -1 do
    if not live(list[i]) and list[i].id ~= returns_id then
      dead = dead + 1
      if dead > dead_most then table.remove(list, i) end
    end
  end
  return dead > dead_most
end

-- confirmed reports whether the shopper has this pending order alone, with the
-- slot and quantity of its row. Nearly all orders are so; the text of the row
-- replaces them without parsing. A reference is dropped; an order whose key is
-- in the entry alone is left to settle.
local function confirmed(value, to)
  if not value or string.sub(value, 1, 1) ~= 'P' or string.sub(to, 1, 1) ~= 'S' then return false end
  if string.sub(value, 2, #to) ~= string.sub(to, 2) then return false end
  local rest = string.sub(value, #to + 1)
  if rest == '' then return true end
  if string.find(rest, '\n', 1, true) then return false end
  return string.sub(rest, 1, 2) == ',,' or string.sub(rest, 1, 1) == ',' and string.find(to, '^S%d+,%d+,%d+,') ~= nil
end

-- apply_order applies the change to one order. It returns the shopper's new value
-- as text and, if it was parsed, as a list; nil when nothing changes.
local function apply_order(value, q, text)
  if confirmed(value, text) then
    pending = pending - q
    settled = settled + q
    return text
  end
  local list, to = parse(value), parse(text)[1]
  local e, at = find(list, to.id)
  local did
  if to.state == 'S' then did = settle(list, e, to) else did = end_order(list, e, at, to) end
  if did then return join(list), list end
end

local lists = {} -- by the index of their text in set
for i = first_order, #ARGV, 3 do
  local s = ARGV[i]
  local value, list = apply_order(values[s], ARGV[i + 1], ARGV[i + 2])
  if value then
    values[s] = value
    changed = changed + 1
    set[#set + 1] = s
    set[#set + 1] = value
    lists[#set] = list
  end
end
for i = 7, first_order - 1, 2 do
  local s, n = ARGV[i], ARGV[i + 1]
  local list = parse(values[s])
  local e = find(list, returns_id)
  if not e then
    e = { state = 'C', id = returns_id, slot = '-', q = '0' }
    list[#list + 1] = e
  end
  if tonumber(n) > tonumber(e.q) then
    e.q, e.tail = n, ',,' .. string.format('%.0f', now_ms())
    values[s] = join(list)
    set[#set + 1] = s
    set[#set + 1] = values[s]
    lists[#set] = list
  end
end
-- Trim last: an order may need the tombstone that an earlier one would drop.
if may_trim then
  for at, list in pairs(lists) do
    if trim(list) then set[at] = join(list) end
  end
end
in_pieces('HSET', KEYS[2], set)

local function add(field, n)
  if n ~= 0 then redis.call('HINCRBY', KEYS[1], field, string.format('%.0f', n)) end
end

if of_sale and first_time then
  local units = tonumber(ARGV[2])
  add('total', units)
  available = available + units
  if ARGV[3] ~= '' then redis.call('HSET', KEYS[1], 'state', ARGV[3]) end
  if ARGV[4] ~= '' then redis.call('HSET', KEYS[1], 'starts', ARGV[4]) end
  if ARGV[5] ~= '' then redis.call('HSET', KEYS[1], 'ends', ARGV[5]) end
end
add('available', available)
add('pending', pending)
add('settled', settled)
return { status, before, before + available, changed }
