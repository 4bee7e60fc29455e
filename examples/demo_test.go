package examples

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
)

// progressLine matches a line of a connector's progress: its name and the number of its records.
var progressLine = regexp.MustCompile(`^(\S+) +(?:source|sink) +[a-z]+ +\S+ +(\d+) `)

// `make demo` delivers all rows, ends with Ctrl-C, and runs again on the same data.
func TestDemoTwice(t *testing.T) {
	bin, plugins := culvert(t)
	out, err := exec.Command("go", "build", "-o", filepath.Join(bin, "demo"), "./demo").CombinedOutput()
	require.True(t, err == nil, "%v\n%s", err, out)
	data := t.TempDir()
	guesttest.ShareCode(t, data)
	ports := map[string]string{"first": "0", "second": freePort(t)}
	occupied, err := net.Listen("tcp", "127.0.0.1:"+ports["second"])
	require.NoError(t, err)
	out, err = exec.Command(filepath.Join(bin, "demo"), "--data", data, "--port", ports["second"]).CombinedOutput()
	assert.True(t, err != nil && strings.Contains(string(out), "PORT="+ports["second"]+"): listen"),
		"expected an error about the port, found %v\n%s", err, out)
	occupied.Close()
	for _, run := range []string{"first", "second"} {
		c := exec.Command(filepath.Join(bin, "demo"), "--culvert", filepath.Join(bin, "culvert"), "--config",
			"demo/config", "--data", data, "--rows", "40", "--port", ports[run])
		c.Env = append(os.Environ(), "CULVERT_PLUGIN_PATH="+plugins)
		c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a terminal sends Ctrl-C to the foreground process group
		out, err := c.StdoutPipe()
		require.NoError(t, err)
		c.Stderr = c.Stdout
		require.NoError(t, c.Start())
		kill := time.AfterFunc(20*time.Minute, func() { syscall.Kill(-c.Process.Pid, syscall.SIGKILL) })
		output := ""
		arrived := map[string]bool{}
		for lines := bufio.NewScanner(out); lines.Scan(); {
			output += lines.Text() + "\n"
			if m := progressLine.FindStringSubmatch(lines.Text()); m != nil {
				arrived[m[1]+" "+m[2]] = true
			}
			if (arrived["order-details 100"] && arrived["copies 100"] && arrived["northwind 117"] &&
				arrived["suppliers 29"]) || strings.Contains(lines.Text(), "failed") {
				err := syscall.Kill(-c.Process.Pid, syscall.SIGINT)
				assert.True(t, err == nil || err == syscall.ESRCH, "%v", err)
				arrived = map[string]bool{}
			}
		}
		err = c.Wait()
		kill.Stop()
		require.True(t, !strings.Contains(output, ": failed: ") && err == nil, "the %s run: %v\n%s", run, err, output)
		console := fmt.Sprintf("http://127.0.0.1:%s/console/", ports[run])
		assert.True(t, run != "second" || strings.Contains(output, console), "expected %s, found\n%s", console, output)
		want := fmt.Sprintf("consume Orders --data %s", data)
		assert.True(t, strings.Contains(output, want) && strings.Contains(output, "/connectors?expand=status"),
			"expected the commands and addresses to look at, with %q, found\n%s", want, output)
	}
}
