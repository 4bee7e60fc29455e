package operate

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/host/porttest"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// --log-level debug shows each request with its answer, and never a secret.
func TestRequestsAtDebug(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	s, address := e2etest.Demo(t, odatatest.Options{Rows: 50, PageSize: 20, User: "demo", Password: "s3cr3t pass"})
	lines := append(e2etest.Source("orders", address, "Orders"), "sap.odata.user.name=demo", "sap.odata.user.pwd=s3cr3t pass",
		"sap.odata.header.APIKey=k3y-of-a-gateway")
	r := p.MustRun("run", "--once", "--log-level", "debug", "--plugins", e2etest.Plugins(t), "--data", p.Data,
		p.File("orders.properties", lines...))
	line := regexp.MustCompile(
		`level=DEBUG msg=request connector=orders method=(\w+) path="?([^ "]+)"? status=(\d+) bytes=(\d+) ms=\d+\n`)
	found := line.FindAllStringSubmatch(r.Stderr, -1)
	if len(found) != s.Ledger().Total {
		t.Errorf("expected a line for each of %d requests, found %d in\n%s", s.Ledger().Total, len(found), r.Stderr)
	}
	pages := 0
	for _, f := range found {
		if f[1] == "GET" && strings.HasPrefix(f[2], northwind+"/Orders?$") && f[3] == "200" && f[4] != "0" {
			pages++
		}
	}
	if pages < 3 {
		t.Errorf("expected 3 pages with their path and bytes, found %d in %q", pages, found)
	}
	r.Omits("s3cr3t", "k3y-of", "ZGVtbzpzM2NyM3")

	closed := p.File("closed.properties", e2etest.Source("closed", porttest.Address(t), "Orders")...)
	// As JSON each line is an object, which says where it was written.
	r = p.Run("ping", "-p", closed, "-s", odatatest.NorthwindPath, "--log-level", "debug", "--log-format", "json",
		"--plugins", e2etest.Plugins(t))
	requests := 0
	for line := range strings.Lines(r.Stderr) {
		var l map[string]any
		if json.Unmarshal([]byte(line), &l) == nil && l["msg"] == "request" && l["level"] == "DEBUG" &&
			l["status"] == 0.0 && regexp.MustCompile(`^transport\..+:\d+$`).MatchString(
			fmt.Sprint(l["ohja.location"])) {
			requests++
		}
	}
	if requests == 0 {
		t.Errorf("expected requests in JSON, found\n%s", r.Stderr)
	}
}
