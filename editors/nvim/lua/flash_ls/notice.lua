--- Sentences for the user, each with the name of the plugin before it.

local M = {}

local told = {} ---@type table<string, true>

---@param sentence string
---@param level? integer one of `vim.log.levels`
function M.say(sentence, level)
  vim.notify("flash_ls: " .. sentence, level or vim.log.levels.INFO)
end

--- Say it unless it has been said.
---@param sentence string
---@param level? integer
function M.say_once(sentence, level)
  if not told[sentence] then
    told[sentence] = true
    M.say(sentence, level)
  end
end

--- Say things again that were said once.
function M.forget()
  told = {}
end

return M
