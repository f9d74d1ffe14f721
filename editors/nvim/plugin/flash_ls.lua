--- The command; all else waits for `require("flash_ls").setup()`.

if vim.g.loaded_flash_ls then
  return
end
vim.g.loaded_flash_ls = true

vim.api.nvim_create_user_command("FlashLs", function(call)
  require("flash_ls.command").run(call.fargs)
end, {
  nargs = "*",
  desc = "Suggestions by flash-ls: status, switches, restart, log",
  complete = function(beginning, line)
    return line:match("^%S*%s+%S*$") and require("flash_ls.command").names(beginning) or {}
  end,
})
