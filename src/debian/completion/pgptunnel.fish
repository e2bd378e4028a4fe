# The command itself says what can come next.
function __pgptunnel_next
  set -l line (commandline -cp)
  pgptunnel "[suggest:"(string length -- $line)"]" $line 2>/dev/null | grep -vx -e '/.*' -e '-.'
end
complete -c pgptunnel -a '(__pgptunnel_next)'
