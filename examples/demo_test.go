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

	"github.com/culvert-project/culvert/internal/plugin/guesttest"
)

// `make demo` delivers all rows, ends with Ctrl-C, and runs again on the same data.
func TestDemoTwice(t *testing.T) {
	bin, plugins := culvert(t)
	if out, err := exec.Command("go", "build", "-o", filepath.Join(bin, "demo"),
		"./demo").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	data := t.TempDir()
	guesttest.ShareCode(t, data)
	ports := map[string]string{"first": "0", "second": freePort(t)}
	taken, err := net.Listen("tcp", "127.0.0.1:"+ports["second"])
	ok(t, err)
	out, err := exec.Command(filepath.Join(bin, "demo"), "--data", data, "--port", ports["second"]).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "PORT="+ports["second"]+"): listen") {
		t.Errorf("expected an error about the port, found %v\n%s", err, out)
	}
	taken.Close()
	for _, run := range []string{"first", "second"} {
		c := exec.Command(filepath.Join(bin, "demo"), "--culvert", filepath.Join(bin, "culvert"), "--config",
			"demo/config", "--data", data, "--rows", "40", "--port", ports[run])
		c.Env = append(os.Environ(), "CULVERT_PLUGIN_PATH="+plugins)
		c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a terminal sends Ctrl-C to the foreground process group
		out, err := c.StdoutPipe()
		ok(t, err)
		c.Stderr = c.Stdout
		ok(t, c.Start())
		kill := time.AfterFunc(20*time.Minute, func() { syscall.Kill(-c.Process.Pid, syscall.SIGKILL) })
		all := ""
		arrived := map[string]bool{}
		for lines := bufio.NewScanner(out); lines.Scan(); {
			all += lines.Text() + "\n"
			if m := regexp.MustCompile(`^(\S+) +(?:source|sink) +[a-z]+ +\S+ +(\d+) `).FindStringSubmatch(
				lines.Text()); m != nil {
				arrived[m[1]+" "+m[2]] = true
			}
			if (arrived["order-details 100"] && arrived["copies 100"] && arrived["northwind 117"]) ||
				strings.Contains(lines.Text(), "failed") {
				if err := syscall.Kill(-c.Process.Pid, syscall.SIGINT); err != nil && err != syscall.ESRCH {
					t.Error(err)
				}
				arrived = map[string]bool{}
			}
		}
		err = c.Wait()
		kill.Stop()
		if strings.Contains(all, ": failed: ") || err != nil {
			t.Fatalf("the %s run: %v\n%s", run, err, all)
		}
		if console := fmt.Sprintf("http://127.0.0.1:%s/console/", ports[run]); run == "second" &&
			!strings.Contains(all, console) {
			t.Errorf("expected %s, found\n%s", console, all)
		}
		if want := fmt.Sprintf("consume Orders --data %s", data); !strings.Contains(all, want) || !strings.Contains(all,
			"/connectors?expand=status") {
			t.Errorf("expected it to say where to look, %q\n%s", want, all)
		}
	}
}
