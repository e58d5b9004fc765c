-- Types into Neovim, which runs `dgedit lsp` by its own client, takes a code action and asks for ghost text. Where
-- Neovim shows that itself (0.12), accepts it as a user does. Writes what came of it as JSON.
--
--   COMMAND='["dgedit", "lsp"]' OUT=file nvim --headless -u NONE -i NONE -n -S nvim_client.lua a.py
local out = {}

local function finish()
  local file = assert(io.open(vim.env.OUT, 'w'))
  file:write(vim.json.encode(out))
  file:close()
  vim.cmd('qall!')
end

local function text()
  return table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, false), '\n')
end

local function keys(typed)
  vim.api.nvim_feedkeys(vim.api.nvim_replace_termcodes(typed, true, false, true), 'xt', false)
end

local function main()
  vim.bo.fileformat = 'dos'
  local id = assert(vim.lsp.start({ name = 'dgedit', cmd = vim.json.decode(vim.env.COMMAND), root_dir = vim.fn.getcwd() }))
  assert(vim.wait(20000, function()
    local client = vim.lsp.get_client_by_id(id)
    return client and client.initialized and client.attached_buffers[0 + vim.fn.bufnr()] ~= nil
  end), 'no client')
  local client = vim.lsp.get_client_by_id(id)
  out.encoding = client.offset_encoding
  keys('idef half(x):<CR>    return 0  # é😀<Esc>')
  keys('Odd<BS><BS>y = 1<CR>z = <Esc>ddu<C-r>')
  keys('kA # <FILL><Esc>')
  out.typed = text()
  vim.api.nvim_win_set_cursor(0, { vim.fn.line('$'), 4 })
  local titles = {}
  vim.lsp.buf.code_action({
    apply = true,
    filter = function(action)
      table.insert(titles, action.title)
      return action.title == 'Fill all <FILL> markers'
    end,
  })
  assert(vim.wait(20000, function() return not text():find('<FILL>', 1, true) end), 'no edit')
  out.titles, out.filled = titles, text()

  vim.api.nvim_win_set_cursor(0, { vim.fn.line('$'), 999 })
  local params = vim.lsp.util.make_position_params(0, client.offset_encoding)
  params.context = { triggerKind = 1 }
  local answer = assert(client:request_sync('textDocument/inlineCompletion', params, 20000, 0))
  out.items, out.position = answer.result.items, params.position

  if not vim.lsp.inline_completion then
    return finish()
  end
  vim.lsp.inline_completion.enable(true)
  vim.keymap.set('i', '<Tab>', function() return vim.lsp.inline_completion.get() and '' or '<Tab>' end, { expr = true })
  vim.api.nvim_input('A;')
  local space = vim.api.nvim_create_namespace('nvim.lsp.inline_completion')
  local timer, tries = assert(vim.uv.new_timer()), 0
  timer:start(100, 100, vim.schedule_wrap(function()
    tries = tries + 1
    local shown = vim.api.nvim_buf_get_extmarks(0, space, 0, -1, { details = true })[1]
    if shown and not out.shown then
      out.shown = shown[4].virt_text[1][1]
      vim.api.nvim_input('<Tab>')
    elseif out.shown and text():find(out.shown, #out.filled, true) or tries > 200 then
      timer:stop()
      out.accepted = text()
      finish()
    end
  end))
end

vim.schedule(function()
  local good, why = pcall(main)
  if not good then
    out.error = tostring(why)
    finish()
  end
end)
