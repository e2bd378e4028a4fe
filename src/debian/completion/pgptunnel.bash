# The command itself says what can come next.
_pgptunnel() {
  local IFS=$'\n'
  mapfile -t COMPREPLY < <(compgen -W "$(pgptunnel "[suggest:$COMP_POINT]" "$COMP_LINE" 2>/dev/null | grep -vx -e '/.*' -e '-.')" -- "${COMP_WORDS[COMP_CWORD]}")
}
complete -o default -F _pgptunnel pgptunnel
