# How .ci/run runs suites and adds up what they say. To be sourced; needs bash, coreutils, util-linux and /proc. The caller
# sets "logs" to a folder of its own.
#
# A suite gets a session and a time limit, and all together get one. Past a limit, and when it has ended, everything that it has started is killed.
# A suite fails if a test failed or was passed over, if it exits with another code than 0, if no test passed, if its own
# total says less than its tests did, and if it does not end in time.

passed=0
failed=0

# How long a suite that is told to end may take to clean up, in seconds.
: "${GRACE_SECONDS:=20}"

# When the last suite is told to end, in seconds from the start of the script, whatever its own limit is.
: "${ALL_SECONDS:=5160}"

# Fails loudly: a missing tool must not look like a suite without tests.
die() {
  echo "$1" >&2
  echo "$passed passed, $((failed + 1)) failed"
  exit 1
}

# members FILE: the processes of the suite whose session stands in the file, one a line: of its session, what descends from
# them, and what has the suite's mark in its environment.
members() {
  {
    grep -lszxF "CI_SUITE=$1" /proc/[0-9]*/environ | grep -oE '[0-9]+'
    descendants "$(cat "$1")"
  } | sort -u
}

# descendants SESSION: the processes of a session and all that descend from them.
descendants() {
  cat /proc/[0-9]*/stat 2> /dev/null | awk -v root="$1" '
    { pid = $1; sub(/^.*\) /, ""); state = $1; parent[pid] = $2; if (state != "Z" && (pid == root || $4 == root)) in_it[pid] = 1 }
    END {
      do {
        more = 0
        for (pid in parent) if (!(pid in in_it) && parent[pid] in in_it) { in_it[pid] = 1; more = 1 }
      } while (more)
      for (pid in in_it) print pid
    }'
}

# tell FILE SIGNAL: sends a signal to all members of a suite; fails when there are none.
tell() {
  local pids
  pids=$(members "$1")
  [ -n "$pids" ] || return 1
  # One that has just ended is no error.
  # shellcheck disable=SC2086
  kill "-$2" $pids 2> /dev/null
  return 0
}

# end FILE: kills all members of a suite, for certain.
end() {
  while tell "$1" KILL; do sleep 0.1; done
}

# limited SECONDS FILE COMMAND...: runs a command in a session of its own, whose number it writes to the file, and ends what
# is left of it. Gives the command's exit code, or 124 when it did not end in time. To be run in a subshell.
limited() {
  local limit=$1 file=$2 session stop code
  shift 2
  ((limit <= ALL_SECONDS - SECONDS)) || limit=$((ALL_SECONDS - SECONDS))
  # What a shell starts beside itself ignores SIGINT, unless told otherwise; tests send it.
  setsid -- env --default-signal=INT,QUIT "CI_SUITE=$file" "$@" &
  session=$!
  echo "$session" > "$file"
  # The shell would say which of its children were killed.
  exec 2> /dev/null
  stop=$((SECONDS + limit))
  while kill -0 "$session" 2> /dev/null; do
    if ((SECONDS >= stop)); then
      echo "=== stopped: not ended after $limit s"
      tell "$file" TERM
      stop=$((SECONDS + GRACE_SECONDS))
      while ((SECONDS < stop)) && [ -n "$(members "$file")" ]; do sleep 0.5; done
      end "$file"
      wait "$session"
      return 124
    fi
    sleep 0.5
  done
  wait "$session"
  code=$?
  end "$file"
  return "$code"
}

# begin NAME SECONDS COMMAND...: starts a suite beside what comes next, until "finish NAME".
declare -A begun=()
begin() {
  local name=$1 limit=$2
  shift 2
  : > "$logs/$name"
  limited "$limit" "$logs/$name.session" "$@" > "$logs/$name" 2>&1 < /dev/null &
  begun[$name]=$!
}

# follow NAME: shows the output of a suite until it has ended, and gives its exit code.
follow() {
  # The shell hears signals only while it waits.
  tail -n +1 -s 0.2 -f --pid="${begun[$1]}" "$logs/$1" &
  wait "$!"
  wait "${begun[$1]}"
}

# finish NAME: shows the output of a suite that was begun, and adds up what it says: its own "N passed, N failed", or else
# every total of "deno test".
finish() {
  local name=$1 log="$logs/$1" code why="" own tests p f tests_p tests_f
  echo "=== $name"
  follow "$name"
  code=$?
  sed -i -E 's/\x1b\[[0-9;]*m//g' "$log"
  own=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$log" | tail -n 1)
  tests=$(grep -E '^(ok|FAILED) \| [0-9]+ passed' "$log")
  # A test that was passed over is one that did not pass.
  tests_p=$(sum 'passed' "$tests") tests_f=$(sum '(failed|ignored)' "$tests")
  p=$tests_p f=$tests_f
  if [ -n "$own" ]; then
    p=$(sum 'passed' "$own") f=$(sum 'failed' "$own")
    if ((p < tests_p || f < tests_f)); then
      why="says \"$own\", but its tests say $tests_p passed, $tests_f failed"
      f=$((f < tests_f ? tests_f : f)) p=$((p < tests_p ? p : tests_p))
    fi
  fi
  if [ "$code" -eq 124 ]; then why="did not end in time"
  elif [ "$code" -ne 0 ] && [ "$f" -eq 0 ]; then why="exit code $code after $p passed tests"
  elif [ "$p" -eq 0 ] && [ "$f" -eq 0 ]; then why="ran no test"
  fi
  if [ -n "$why" ]; then
    {
      echo "$name: $why; its last lines:"
      tail -n 20 "$log"
    } >&2
    # What stopped a suite, other than a failed test, counts as one failure.
    [ "$f" -gt 0 ] || f=1
  fi
  passed=$((passed + p))
  failed=$((failed + f))
  echo "=== $name: $p passed, $f failed"
}

# sum WHAT TEXT: the sum of all numbers before these words.
sum() {
  grep -oE "[0-9]+ $1" <<< "$2" | awk '{ n += $1 } END { print n + 0 }'
}

# suite NAME SECONDS COMMAND...: a suite from its beginning to its end.
suite() {
  begin "$@"
  finish "$1"
}

# prepare NAME SECONDS COMMAND...: something that suites need. It is no test; that it failed counts as one failure.
prepare() {
  local code
  begin "$@"
  echo "=== $1"
  follow "$1"
  code=$?
  [ "$code" -eq 0 ] && return
  echo "$1: exit code $code" >&2
  failed=$((failed + 1))
}

# tidy: kills what is left of all suites.
tidy() {
  local file
  for file in "$logs"/*.session; do
    [ -e "$file" ] && end "$file"
  done
}
