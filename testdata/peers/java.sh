# java.sh, sourced by tool.sh of a peer that is a Maven project: java_peer FOLDER NAME PROPERTY WHAT fetches its jars once into
# .peers/NAME-VERSION, with the version from the property of FOLDER's pom.xml, and sets java and lib.
java_peer() {
  local version home tool
  version=$(sed -n "s:.*<$3>\(.*\)</$3>.*:\1:p" "$1/pom.xml")
  home=$(cd "$1/../../.." && pwd)/.peers/$2-$version
  java=${JAVA_HOME:+$JAVA_HOME/bin/}java lib=$home/lib
  for tool in "$java" timeout flock; do
    command -v "$tool" >/dev/null || { echo "$0: $tool is needed and is not installed (or not in PATH)" >&2; exit 1; }
  done
  [ ! -e "$home/.complete" ] || return 0
  mkdir -p "$home"
  exec 8>"$home/.lock"; flock 8
  if [ ! -e "$home/.complete" ]; then
    rm -rf "$lib"
    timeout 400 "${MVN:-mvn}" -q -B -f "$1/pom.xml" dependency:copy-dependencies -DoutputDirectory="$lib" >"$home/maven.log" 2>&1 ||
      { tail -n 20 "$home/maven.log" >&2; echo "$0: Maven could not fetch $4, see $home/maven.log" >&2; exit 1; }
    touch "$home/.complete"
  fi
  exec 8>&-
}
