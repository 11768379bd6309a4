-- entry.lua is put in front of every script that reads or writes entries.
-- The value of a shopper in {sale}:o is a list of entries joined by "\n":
--   <state><order ID>,<slot or ->,<quantity>[,<key>[,<reference>]]
--   P pending, S settled; R rejected and C cancelled are dead: they hold
--   nothing and are final. A change of state moves no other entry.
-- One dead entry is no order: C1,-,<n>,,<ms> says how many orders the shopper has
-- returned, and when the last one came back, by the time of Redis. No order has the
-- ID 1. A program that does not know it takes it for a cancelled order, and may
-- drop it: MySQL has the count.
local returns_id = '1'

-- parse returns the entries of one shopper; none if the value is missing.
local function parse(value)
  local list = {}
  if not value then return list end
  for text in string.gmatch(value, '[^\n]+') do
    local state, id, slot, q, tail = string.match(text, '^(%u)(%d+),([%d-]+),(%d+)(.*)$')
    list[#list + 1] = { state = state, id = id, slot = slot, q = q, tail = tail }
  end
  return list
end

local function format(e)
  return e.state .. e.id .. ',' .. e.slot .. ',' .. e.q .. e.tail
end

local function join(list)
  if #list == 1 then return format(list[1]) end
  local texts = {}
  for i, e in ipairs(list) do texts[i] = format(e) end
  return table.concat(texts, '\n')
end

-- key_of returns the key in a tail: 16 hex digits, or '' for none.
local function key_of(tail)
  if tail == '' then return '' end
  return string.match(tail, '^,(%x*)')
end

local function live(e) return e.state == 'P' or e.state == 'S' end

local function find(list, id)
  for i, e in ipairs(list) do
    if e.id == id then return e, i end
  end
end

-- in_pieces calls a command with many arguments, at most 1,000 per call.
local function in_pieces(command, key, args)
  for from = 1, #args, 1000 do
    redis.call(command, key, unpack(args, from, math.min(from + 999, #args)))
  end
end

-- read_all is HMGET for any number of fields.
local function read_all(key, fields)
  if #fields == 0 then return {} end
  if #fields <= 1000 then return redis.call('HMGET', key, unpack(fields)) end
  local values = {}
  for from = 1, #fields, 1000 do
    local to = math.min(from + 999, #fields)
    local part = redis.call('HMGET', key, unpack(fields, from, to))
    for i = 1, to - from + 1 do values[from + i - 1] = part[i] end
  end
  return values
end

-- now_ms returns the time of Redis in milliseconds.
local function now_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end
