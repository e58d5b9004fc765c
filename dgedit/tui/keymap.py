"""The table of all actions of the editor: their keys, their words, and what they call.

Help, the palette, the footer, the user's own keys and the documentation read this table and nothing
else. The ids are public, since `config.toml` names them.

An action of the text is a method of the text area, as Textual calls it (`action_cursor_up`). Any
other is a method of a part that `app.py` constructs: `finder.step(1)` is `app.finder.step(1)`.

Knows words; `bindings.py` uses them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Need = Literal["", "bar", "running", "open", "result", "stay", "hole", "piece"]
"""The condition under which an action is available.

Always (empty), while the find bar is open, while an infill is running, while a result is open
("open", and "result", which says why not otherwise), with the cursor at a hole of a result or not
moved since ("stay"), at a hole, at a piece of a draft. Where the last three do not hold, their keys
act on the text.
"""

TEXT = "The text"
"""The group of the actions on the text."""


@dataclass(frozen=True, slots=True)
class Action:
    """Something that the user can do."""

    id: str
    """Its name in the user's settings."""
    keys: tuple[str, ...]
    """Its keys; none for one that only the list of commands, or a key of a panel, calls."""
    words: str
    """Its description, for help and the palette."""
    call: str
    """The method that does it, with its arguments."""
    group: str = ""
    """Its group in the help."""
    hint: str = ""
    """Its word in the footer; empty if it is not shown there."""
    rank: int = 0
    """Its rank in the footer; 1 matters most."""
    yields_to: str = ""
    """Ids of the actions that replace it in the footer while they are available."""
    needs: Need = ""
    """The condition under which it is available."""
    synonyms: str = ""
    """More words to find it by, beside those of `id` and `words`."""

    @property
    def of_text(self) -> bool:
        """True if it is an action of the text with the cursor, not of the screen."""
        return self.group == TEXT

    @property
    def binding(self) -> str:
        """The action in Textual's syntax."""
        if not self.of_text or "." in self.call:
            return f"app.do('{self.id}')"
        name, _, given = self.call.rstrip(")").partition("(")
        return f"each('{name}', ({given},))" if given else f"each('{name}', ())"


def _action(
    id: str,
    keys: str,
    words: str,
    call: str,
    *,
    hint: str = "",
    rank: int = 0,
    yields_to: str = "",
    needs: Need = "",
    synonyms: str = "",
) -> Action:
    split = tuple(keys.split(",")) if keys else ()
    return Action(id, split, words, call, "", hint, rank, yields_to, needs, synonyms)


def _group(name: str, *actions: Action) -> tuple[Action, ...]:
    return tuple(replace(action, group=name) for action in actions)


# fmt: off
ACTIONS: tuple[Action, ...] = (
    *_group(
        "Holes and infills",
        _action("mask", "f2", "mask what is to be filled", "infill.mask", hint="mask", rank=8,
                yields_to="result-diff cancel", synonyms="hole span selection"),
        _action("point", "shift+f2,f14", "insertion point, or close the hole", "infill.point",
                synonyms="hole insert empty"),
        _action("template", "", "mask the blanks of a template", "templates.mask",
                synonyms="blank placeholder sudoku pattern characters keep fixed"),
        _action("fill", "f5", "fill all holes", "infill.fill_all", hint="fill", rank=9,
                yields_to="cancel", synonyms="infill complete generate run ask model ai"),
        _action("live", "alt+v", "how much of an infill is drawn", "infill.draw_more",
                synonyms="animation drafts steps draw show"),
        _action("cancel", "escape", "cancel the infill", "infill.cancel", hint="cancel", rank=4,
                needs="running", synonyms="stop abort interrupt infill"),
        _action("reject", "escape", "reject the result", "review.reject", hint="reject", rank=3,
                needs="open", synonyms="discard drop dismiss result"),
    ),
    *_group(
        "Instructions and strength",
        _action("instruct", "f6,alt+i", "fill by an instruction", "instructing.ask",
                hint="instruct", rank=16, yields_to="cancel",
                synonyms="instruction prompt strength noise tell"),
    ),
    *_group(
        "What to do with a result",
        _action("accept", "enter", "accept all that is shown", "review.accept", hint="accept",
                rank=1, needs="stay", synonyms="apply take keep result"),
        _action("accept-all", "alt+y", "accept all, wherever the cursor is", "review.accept",
                hint="accept", rank=2, yields_to="accept", needs="result",
                synonyms="accept apply take keep result"),
        _action("accept-hole", "alt+a,alt+enter", "accept one hole", "review.accept_hole",
                hint="accept hole", rank=10, needs="result", synonyms="apply take keep"),
        _action("accept-word", "alt+w", "accept the next word", "review.accept_word",
                hint="accept word", rank=11, needs="result", synonyms="apply take keep partial"),
        _action("accept-line", "alt+l", "accept the next line", "review.accept_line",
                hint="accept line", rank=12, needs="result", synonyms="apply take keep partial"),
        _action("candidate", "alt+n,alt+right_square_bracket", "next candidate", "review.turn(1)",
                hint="next candidate", rank=5, needs="result",
                synonyms="alternative other another result"),
        _action("result-diff", "alt+d", "the result as a diff", "review.show_diff", hint="diff",
                rank=6, needs="result", synonyms="difference compare changes"),
        _action("candidate-before", "alt+p,alt+left_square_bracket", "the candidate before",
                "review.turn(-1)", needs="result", synonyms="previous alternative other result"),
        _action("accept-word-here", "ctrl+right", "accept the word at the cursor",
                "review.accept_word", needs="hole"),
        _action("accept-line-here", "ctrl+down", "accept the line at the cursor",
                "review.accept_line", needs="hole"),
        _action("step-back", "left_square_bracket", "step before", "review.scrub(-1)", needs="stay",
                synonyms="previous refinement history scrub"),
        _action("step-forth", "right_square_bracket", "next step", "review.scrub(1)", needs="stay",
                synonyms="refinement history scrub"),
        _action("refine-selection", "alt+r", "refine the selection in a draft again",
                "review.refine_selection", needs="result", synonyms="regenerate redo retry"),
        _action("hold-selection", "alt+h", "hold the selection, refine the rest again",
                "review.hold_selection", needs="result", synonyms="keep pin lock"),
        _action("confidence", "alt+c", "how sure the model is of each piece",
                "review.show_confidence",
                synonyms="heat heatmap probability certainty colour color legend"),
        _action("draft-left", "left", "back in a draft", "review.move(-1)", needs="piece"),
        _action("draft-right", "right", "on in a draft", "review.move(1)", needs="piece"),
        _action("draft-left-select", "shift+left", "select in a draft, to the left",
                "review.move(-1,True)", needs="piece"),
        _action("draft-right-select", "shift+right", "select in a draft", "review.move(1,True)",
                needs="piece"),
    ),
    *_group(
        "Panels",
        _action("holes", "f4", "all holes", "panels.show_holes",
                synonyms="panel list sidebar spans"),
        _action("given", "f7", "what the model is given", "panels.show_given",
                synonyms="panel prompt context request tokens"),
    ),
    *_group(
        "Saving and leaving",
        _action("save", "ctrl+s", "save", "saving.save_front", hint="save", rank=13,
                synonyms="write"),
        _action("save-all", "alt+s", "save all files", "saving.save_all", synonyms="write every"),
        _action("reload", "", "reload from disk", "disk.reload_front",
                synonyms="revert reread again discard changes file"),
        _action("leave", "ctrl+q", "quit", "saving.ask_leave", hint="quit", rank=14,
                synonyms="exit close"),
    ),
    *_group(
        "Opening files",
        _action("open", "ctrl+p", "open", "opening.ask_file", hint="open", rank=15,
                synonyms="file find quick switch"),
        _action("open-path", "ctrl+o", "open a file by its path", "opening.ask_path"),
        _action("new", "ctrl+n", "new file", "opening.new", synonyms="create"),
        _action("close", "ctrl+w", "close the file", "opening.close", synonyms="tab buffer"),
        _action("save-as", "f12,ctrl+shift+s", "save by another name", "saving.save_front_as",
                synonyms="rename copy write"),
        _action("tree", "ctrl+b", "show or hide the project's files", "opening.toggle_tree",
                synonyms="sidebar folder directory explorer browser project toggle"),
    ),
    *_group(
        "Files and folders",
        _action("create-file", "", "create a file in the project", "files.create_file",
                synonyms="new tree"),
        _action("create-folder", "", "create a folder", "files.create_folder",
                synonyms="new directory mkdir tree"),
        _action("rename-file", "", "rename or move the file", "files.rename",
                synonyms="folder directory mv tree"),
        _action("duplicate-file", "", "copy the file", "files.duplicate",
                synonyms="folder directory duplicate cp tree"),
        _action("delete-file", "", "delete the file", "files.delete",
                synonyms="folder directory trash remove rm tree"),
        _action("reveal-file", "", "show the current file in the tree", "files.reveal",
                synonyms="locate find sidebar explorer"),
    ),
    *_group(
        "Finding and going places",
        _action("find", "ctrl+f", "find", "finder.find", synonyms="search regex"),
        _action("replace", "ctrl+r,ctrl+h", "replace", "finder.replace",
                synonyms="substitute search"),
        _action("find-next", "f3", "find next", "finder.step(1)", synonyms="search again"),
        _action("find-previous", "shift+f3,f15", "find previous", "finder.step(-1)",
                synonyms="search back"),
        _action("to-line", "ctrl+g", "go to a line", "finder.ask_line",
                synonyms="jump number goto"),
        _action("symbols", "ctrl+t,ctrl+shift+o", "go to a symbol", "finder.ask_symbol",
                synonyms="function class method outline definition heading jump goto"),
        _action("search-project", "f9,ctrl+shift+f", "search the project", "search.open",
                synonyms="find replace files grep everywhere"),
        _action("definition", "alt+g,alt+full_stop", "go to the definition of a name",
                "definitions.go", synonyms="jump symbol declaration cursor"),
        _action("references", "alt+u,shift+f12", "list the uses of a name",
                "definitions.list_uses", synonyms="usages callers find cursor"),
        _action("hover", "shift+f1,f13", "what is wrong here, and what is known of the name",
                "servers.hover", synonyms="problem diagnostic error type documentation lsp"),
        _action("next-problem", "shift+f8,f20", "next problem", "servers.step(1)",
                synonyms="diagnostic error warning lint lsp language server goto jump"),
        _action("previous-problem", "ctrl+f8,alt+f8", "previous problem", "servers.step(-1)",
                synonyms="diagnostic error warning lint lsp language server goto jump"),
        _action("problems", "", "list all problems", "servers.list_all",
                synonyms="diagnostics errors warnings lint lsp language server"),
        _action("back", "alt+left", "back to where you were", "jumps.back",
                synonyms="jump previous place history navigate"),
        _action("forth", "alt+right", "forth again", "jumps.forth",
                synonyms="jump next place history navigate forward"),
        _action("close-find", "escape", "close the find bar", "finder.close", needs="bar",
                synonyms="search"),
    ),
    *_group(
        "Changes since git's last commit",
        _action("next-change", "alt+j,alt+f5", "next change since the last commit", "git.step(1)",
                synonyms="git diff hunk gutter jump modified goto"),
        _action("previous-change", "alt+m,alt+shift+f5", "previous change since the last commit",
                "git.step(-1)", synonyms="git diff hunk gutter jump modified goto"),
        _action("revert-change", "alt+q", "take back the change at the cursor",
                "git.revert", synonyms="git restore checkout discard hunk reset undo head"),
    ),
    *_group(
        "Files side by side",
        _action("split", "ctrl+backslash", "split screen, or no longer", "workspace.split",
                synonyms="window pane two side vertical unsplit toggle"),
        _action("other-side", "f8", "go to the file beside", "workspace.other_side",
                synonyms="split window pane switch focus"),
        _action("next-file", "ctrl+pagedown", "next file", "workspace.turn(1)",
                synonyms="tab buffer switch"),
        _action("previous-file", "ctrl+pageup", "previous file", "workspace.turn(-1)",
                synonyms="tab buffer switch"),
    ),
    *_group(
        "Folding",
        _action("fold", "alt+shift+f,ctrl+shift+left_square_bracket",
                "fold what the cursor is in, then what is around it", "folding.fold",
                synonyms="collapse close hide region block syntax"),
        _action("unfold", "alt+shift+u", "unfold at the cursor", "folding.unfold",
                synonyms="expand open show region block"),
        _action("fold-all", "alt+shift+a", "fold all", "folding.fold_all",
                synonyms="collapse close hide every region outline"),
        _action("unfold-all", "alt+shift+e", "unfold all", "folding.unfold_all",
                synonyms="expand open show every region"),
        *(_action(f"fold-level-{level}", "", f"fold to level {level}", f"folding.fold_to({level})",
                  synonyms="collapse depth outline") for level in range(1, 5)),
    ),
    *_group(
        "Questions about files",
        _action("answer", "f10,alt+b", "answer what is asked", "questions.enter",
                synonyms="question bar reload merge conflict recover"),
    ),
    *_group(
        "Help",
        _action("help", "f1", "help", "guide.show_keys", hint="help", rank=7,
                synonyms="keys bindings shortcuts hotkeys manual"),
        _action("commands", "alt+x,ctrl+shift+p", "all commands", "guide.ask_command",
                synonyms="palette actions"),
        _action("themes", "alt+t", "choose a theme", "guide.ask_theme",
                synonyms="colours colors dark light appearance"),
    ),
    *_group(
        "The text",
        _action("cursor-up", "up", "cursor up", "cursor_up"),
        _action("cursor-down", "down", "cursor down", "cursor_down"),
        _action("cursor-left", "left", "cursor left", "cursor_left"),
        _action("cursor-right", "right", "cursor right", "cursor_right"),
        _action("cursor-line-start", "home", "line start", "cursor_line_start"),
        _action("cursor-line-end", "end,ctrl+e", "cursor line end", "cursor_line_end"),
        _action("cursor-page-up", "pageup", "cursor page up", "cursor_page_up"),
        _action("cursor-page-down", "pagedown", "cursor page down", "cursor_page_down"),
        _action("cursor-word-left", "ctrl+left", "cursor word left", "cursor_word_left"),
        _action("cursor-word-right", "ctrl+right", "cursor word right", "cursor_word_right"),
        _action("select-all", "ctrl+a", "select all", "select_all"),
        _action("cursor-word-left-select", "ctrl+shift+left", "cursor left word select",
                "cursor_word_left(True)"),
        _action("cursor-word-right-select", "ctrl+shift+right", "cursor right word select",
                "cursor_word_right(True)"),
        _action("cursor-line-start-select", "shift+home", "cursor line start select",
                "cursor_line_start(True)"),
        _action("cursor-line-end-select", "shift+end", "cursor line end select",
                "cursor_line_end(True)"),
        _action("cursor-up-select", "shift+up", "cursor up select", "cursor_up(True)"),
        _action("cursor-down-select", "shift+down", "cursor down select", "cursor_down(True)"),
        _action("cursor-left-select", "shift+left", "cursor left select", "cursor_left(True)"),
        _action("cursor-right-select", "shift+right", "cursor right select", "cursor_right(True)"),
        _action("delete-left", "backspace", "delete character left", "delete_left"),
        _action("delete-word-left", "ctrl+backspace,alt+backspace", "delete left to start of word",
                "delete_word_left"),
        _action("delete-right", "delete", "delete", "delete_right"),
        _action("select-word", "ctrl+d", "select word, then its next place too",
                "select_word", synonyms="occurrence match multiple cursors several"),
        _action("select-occurrences", "alt+o,ctrl+shift+l", "select all equal words",
                "select_occurrences", synonyms="occurrence match multiple cursors several"),
        _action("cursor-above", "ctrl+shift+up,alt+pageup", "add a cursor above",
                "add_cursor(False)", synonyms="multiple cursors several column"),
        _action("cursor-below", "ctrl+shift+down,alt+pagedown", "add a cursor below",
                "add_cursor(True)", synonyms="multiple cursors several column"),
        _action("delete-word-right", "alt+delete,ctrl+delete", "delete word on the right",
                "delete_word_right"),
        _action("cut", "ctrl+x,super+x", "cut, without a selection the line", "cut",
                synonyms="clipboard"),
        _action("copy", "ctrl+c,super+c", "copy, without a selection the line", "copy",
                synonyms="clipboard yank"),
        _action("paste", "ctrl+v", "paste", "clipboards.paste", synonyms="clipboard insert"),
        _action("delete-to-start-of-line", "ctrl+u,super+backspace", "delete to line start",
                "delete_to_start_of_line"),
        _action("delete-to-end-of-line", "ctrl+k", "delete to line end",
                "delete_to_end_of_line_or_delete_line"),
        _action("delete-line", "ctrl+shift+k,alt+k", "delete lines", "delete_line",
                synonyms="remove cut"),
        _action("undo", "ctrl+z,super+z", "undo", "undo", synonyms="back revert"),
        _action("redo", "ctrl+y,super+y", "redo", "redo", synonyms="again forward"),
        _action("toggle-comment", "ctrl+slash,ctrl+underscore", "comment, or no longer",
                "toggle_comment", synonyms="uncomment toggle"),
        _action("indent", "tab", "indent", "indent", synonyms="tab shift right"),
        _action("dedent", "shift+tab", "dedent", "dedent",
                synonyms="tab shift left unindent outdent"),
        _action("move-lines-up", "alt+up", "move lines up", "move_lines(False)"),
        _action("move-lines-down", "alt+down", "move lines down", "move_lines(True)"),
        _action("duplicate-lines-upwards", "alt+shift+up", "duplicate lines upwards",
                "duplicate(False)", synonyms="copy up"),
        _action("duplicate-lines", "alt+shift+down", "duplicate lines", "duplicate(True)",
                synonyms="copy down"),
        _action("join", "ctrl+j", "join lines", "join"),
        _action("select-lines", "ctrl+l", "select line, then the next", "select_lines"),
        _action("to-bracket", "ctrl+right_square_bracket", "go to the other bracket", "to_bracket",
                synonyms="brace parenthesis matching jump"),
        _action("select-to-the-bracket", "ctrl+shift+right_square_bracket", "select to the bracket",
                "to_bracket(True)"),
        _action("expand-selection", "alt+shift+right", "select the next larger part",
                "expanding.expand", synonyms="expand grow syntax node around"),
        _action("shrink-selection", "alt+shift+left", "select the part that was selected before",
                "expanding.shrink", synonyms="shrink syntax node back"),
        _action("filter", "alt+e", "filter the selection through a command", "filtering.ask",
                synonyms="shell pipe external program run sort format execute"),
        _action("upper-case", "", "write in upper case", "rewriting.recase(True)",
                synonyms="uppercase capitals selection word"),
        _action("lower-case", "", "write in lower case", "rewriting.recase(False)",
                synonyms="lowercase small selection word"),
        _action("sort-lines", "", "sort the selected lines", "rewriting.sort",
                synonyms="order alphabetical ascending"),
        _action("line-ends", "", "line ends", "rewriting.ask_line_ends",
                synonyms="eol endings lf crlf newline dos unix windows convert"),
        _action("indentation", "", "indentation", "rewriting.ask_indentation",
                synonyms="tabs spaces blanks width size convert reindent"),
        _action("encoding", "", "encoding", "rewriting.ask_encoding",
                synonyms="charset utf utf-8 utf-16 bom unicode"),
        _action("language", "", "language", "rewriting.ask_language",
                synonyms="syntax grammar mode filetype colours colors highlighting"),
        _action("complete-word", "ctrl+space,ctrl+@,alt+slash", "complete the word",
                "completing.step(1)", synonyms="expand autocomplete finish dabbrev next ending"),
        _action("complete-word-back",
                "alt+question_mark,alt+shift+slash,alt+shift+question_mark,ctrl+shift+space",
                "complete the word as before", "completing.step(-1)",
                synonyms="expand autocomplete previous ending"),
        _action("start-of-the-text", "ctrl+home", "start of the text", "to_end(-1)"),
        _action("end-of-the-text", "ctrl+end", "end of the text", "to_end(1)"),
        _action("select-to-the-start", "ctrl+shift+home", "select to the start", "to_end(-1,True)"),
        _action("select-to-the-end", "ctrl+shift+end", "select to the end", "to_end(1,True)"),
        _action("select-a-page-up", "shift+pageup", "select a page up", "page(-1)"),
        _action("select-a-page-down", "shift+pagedown", "select a page down", "page(1)"),
        _action("toggle-wrap", "alt+z", "wrap long lines, or no longer", "toggle_wrap",
                synonyms="soft word toggle"),
    ),
)
# fmt: on
"""The actions in the order of the help: those special to this editor first, then common ones."""
