#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# git.sh FILE…: commit the files to a branch and push it. All else is in the environment, so that no secret is in the list of processes:
# KSYSAK_URL, KSYSAK_BRANCH, KSYSAK_FOLDER (in the repository), KSYSAK_AUTHOR, KSYSAK_MESSAGE, KSYSAK_KEY_FILE, KSYSAK_HEADER_LINES.
set -eu

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

export GIT_TERMINAL_PROMPT=0
# Git gives the command to a shell, which reads the quotes.
# shellcheck disable=SC2089,SC2090
if [ -n "$KSYSAK_KEY_FILE" ]; then
    quoted=$(printf '%s' "$KSYSAK_KEY_FILE" | sed "s/'/'\\\\''/g")
    GIT_SSH_COMMAND="ssh -i '$quoted' -o IdentitiesOnly=yes"
fi
# shellcheck disable=SC2090
export GIT_SSH_COMMAND="${GIT_SSH_COMMAND:-ssh} -o BatchMode=yes -o ConnectTimeout=20 -o ServerAliveInterval=10"

# Settings of this script alone: give up on a server that sends nothing; headers with credentials.
count=0
setting() {
    export "GIT_CONFIG_KEY_$count=$1" "GIT_CONFIG_VALUE_$count=$2"
    count=$((count + 1))
    export GIT_CONFIG_COUNT=$count
}
setting http.lowSpeedLimit 1
setting http.lowSpeedTime 20
setting user.name "${KSYSAK_AUTHOR% <*}"
address=${KSYSAK_AUTHOR##*<}
setting user.email "${address%>}"
setting commit.gpgSign false
setting core.hooksPath /dev/null
while IFS= read -r header; do
    [ -z "$header" ] || setting http.extraHeader "$header"
done <<EOF
$KSYSAK_HEADER_LINES
EOF

git init --quiet "$work"
cd "$work"
git remote add origin "$KSYSAK_URL"
found=$(git ls-remote origin "refs/heads/$KSYSAK_BRANCH")
if [ -n "$found" ]; then
    git fetch --quiet --depth 1 origin "refs/heads/$KSYSAK_BRANCH"
    git checkout --quiet -B "$KSYSAK_BRANCH" FETCH_HEAD
else
    git checkout --quiet --orphan "$KSYSAK_BRANCH"
fi
mkdir -p "./$KSYSAK_FOLDER"
cp -- "$@" "./$KSYSAK_FOLDER/"
git add --force -- "./$KSYSAK_FOLDER"
if git diff --cached --quiet; then
    echo unchanged
    exit
fi
git commit --quiet --message "$KSYSAK_MESSAGE"
git push --quiet origin "HEAD:refs/heads/$KSYSAK_BRANCH"
# Another job may have pushed since: its commit is on top of this one.
git fetch --quiet origin "refs/heads/$KSYSAK_BRANCH"
git merge-base --is-ancestor HEAD FETCH_HEAD
echo pushed
