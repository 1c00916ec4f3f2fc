-- wrk sends the requests of a file in turn. {n} becomes the next number, so that no two are alike.
local requests, turn, number = {}, 0, 0

function init(args)
  local file = assert(io.open(args[1], "rb"))
  for request in file:read("*a"):gmatch("[^%z]+") do
    requests[#requests + 1] = request
  end
  file:close()
  number = tonumber(args[2])
  local pause = tonumber(args[3])
  if pause then
    function delay()
      return math.random(0, math.floor(2 * pause))
    end
  end
end

function request()
  turn = turn % #requests + 1
  number = number + 1
  return (requests[turn]:gsub("{n}", string.format("%d", number - 1)))
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"seconds":%f,"refused":%d,"broken":%d,"p50":%f,"p99":%f}\n',
    summary.requests, summary.duration / 1e6, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
