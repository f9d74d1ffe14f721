--- Tells the server where the cursor rests, so that it can read ahead there; an older server ignores it.

local server = require("flash_ls.server")

local M = {}

local INTERVAL_MS = 150

local waiting = false
local told ---@type string?

--- Tell it now, unless it knows.
function M.tell()
  local client = server.client(0)
  if not client or not client.initialized then
    return
  end
  local params = vim.lsp.util.make_position_params(0, client.offset_encoding)
  local place = params.textDocument.uri .. vim.inspect(params.position)
  if place ~= told then
    told = place
    client:notify("flashLs/didMoveCursor", params)
  end
end

--- Tell it soon, however often the cursor moves until then.
function M.tell_soon()
  if waiting then
    return
  end
  waiting = true
  vim.defer_fn(function()
    waiting = false
    M.tell()
  end, INTERVAL_MS)
end

return M
