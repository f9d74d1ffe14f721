--- Neovim's own inline completion (0.12) instead of the plugin's, with the same keys.

local keys = require("flash_ls.keys")
local options = require("flash_ls.options")

local M = {}

---@return boolean
function M.available()
  return vim.lsp.inline_completion ~= nil
end

---@param client_id integer
---@param buffer integer
function M.enable(client_id, buffer)
  vim.lsp.inline_completion.enable(true, { client_id = client_id, bufnr = buffer })
end

--- Map the keys that it has a use for; parts of a suggestion cannot be accepted.
---@param buffer integer
function M.map(buffer)
  local builtin = vim.lsp.inline_completion
  local acts = {
    accept = builtin.get,
    next = function()
      builtin.select({ count = 1 })
      return true
    end,
    previous = function()
      builtin.select({ count = -1 })
      return true
    end,
  }
  for action, act in pairs(acts) do
    local key = options.current.keys and options.current.keys[action]
    if key then
      keys.bind(buffer, action, key, function()
        return act() and "" or nil
      end)
    end
  end
end

return M
