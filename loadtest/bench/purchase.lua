-- purchase.lua has wrk buy: each request is a shopper of its own, with a token
-- of its own, and each thread has its share of them, so no shopper comes twice.
-- Requests are built before the first is sent: at 70,000 a second there is no
-- time for it. Arguments: prefix of the files of tokens, one a thread; requests
-- a thread keeps; the sales, which take turns.
local threads = 0

function setup(thread)
  thread:set('number', threads)
  threads = threads + 1
end

function init(args)
  local sales = {}
  for i = 3, #args do sales[#sales + 1] = args[i] end
  requests, next_one = {}, 0
  local most = tonumber(args[2])
  for token in io.lines(args[1] .. number) do
    if #requests == most then break end
    local sale = sales[#requests % #sales + 1]
    requests[#requests + 1] = 'POST /v1/sales/' .. sale .. '/orders HTTP/1.1\r\nHost: ' .. wrk.host .. ':' .. wrk.port ..
      '\r\nAuthorization: Bearer ' .. token ..
      '\r\nContent-Type: application/json\r\nContent-Length: 14\r\n\r\n{"quantity":1}'
  end
end

function request()
  next_one = next_one + 1
  if next_one > #requests then next_one = 1 end
  return requests[next_one]
end
