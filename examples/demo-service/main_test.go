package main

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/culvert-project/culvert/internal/odatatest"
)

// TestMain lets the test binary be the command itself.
func TestMain(m *testing.M) {
	if os.Getenv("DEMO_SERVICE_AS_COMMAND") != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func command(t *testing.T, arguments ...string) *exec.Cmd {
	c := exec.CommandContext(t.Context(), os.Args[0], arguments...)
	c.Env = append(os.Environ(), "DEMO_SERVICE_AS_COMMAND=1")
	return c
}

func TestCommandPrintsItsAddressAndEndsOnSignal(t *testing.T) {
	for _, signal := range []os.Signal{syscall.SIGTERM, syscall.SIGINT} {
		c := command(t, "--listen", "127.0.0.1:0", "--rows", "12", "--page-size", "5", "--user", "u", "--password", "p",
			"--switch", "links=relative")
		stdout, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(stdout).ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		request, err := http.NewRequest("GET", strings.TrimSpace(line)+odatatest.NorthwindPath+
			"Orders?$format=json&$select=OrderID", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.SetBasicAuth("u", "p")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if want := `"__next":"Orders?$format=json&$select=OrderID&$skiptoken=10252"`; err != nil ||
			!strings.Contains(string(body), want) {
			t.Errorf("expected %s in %s, %v", want, body, err)
		}
		if err := c.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		if err := c.Wait(); err != nil {
			t.Errorf("after %v: %v", signal, err)
		}
	}
}

func TestCommandRefusesWrongUse(t *testing.T) {
	for _, arguments := range [][]string{{"--switch", "nope=1"}, {"--switch", "csrf"}, {"more"},
		{"--listen", "nowhere:x"}} {
		output, err := command(t, arguments...).CombinedOutput()
		if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != 2 {
			t.Errorf("%q: %v\n%s", arguments, err, output)
		}
	}
}
