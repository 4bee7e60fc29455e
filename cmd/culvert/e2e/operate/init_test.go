package operate

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// init writes a file that validate and run take, by flags or by answers, and no password into it.
func TestInit(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	p.Environ = append(p.Environ, "SAP_PASSWORD=geheim")
	s, address := e2etest.Demo(t, odatatest.Options{Rows: 10, User: "me", Password: "geheim",
		Switches: odatatest.Switches{Catalogue: 3}})
	host, port, _ := net.SplitHostPort(address)
	root := strings.TrimSuffix(odatatest.SAPPath, "/")
	where := slices.Clip([]string{"init", "--plugins", e2etest.Plugins(t), "--data", p.Data, "--protocol", "http", "--host",
		host, "--port", port, "--user", "me"})
	flags := slices.Clip(append(where, "--yes", "--service", root, "--entity-set", "Customers,Products", "--select",
		"CustomerID,City"))

	p.MustRun(append(flags, "-o", "made.properties")...)
	file := filepath.Join(p.Dir, "made.properties")
	text, err := os.ReadFile(file)
	if err != nil || strings.Contains(string(text), "geheim") || !strings.Contains(string(text),
		"sap.odata.user.pwd=${env:SAP_PASSWORD}\n") ||
		!strings.Contains(string(text), "# Name of the entity set.") {
		t.Fatalf("%v\n%s", err, text)
	}
	p.MustRun("validate", "--plugins", e2etest.Plugins(t), "--data", p.Data, file)
	p.MustOnce(file)
	p.Holds("Customers", s.Count("Customers"))
	p.Holds("Products", s.Count("Products"))

	// By answers: what is offered is chosen by its number, or written out.
	c := exec.Command(e2etest.Bench.Binary, append(where, "-o", "asked.properties")...)
	c.Dir = p.Dir
	c.Env = append(append(os.Environ(), "XDG_CACHE_HOME="+filepath.Join(p.Dir, "cache")), p.Environ...)
	// password, client, service, set, topic, properties, name
	c.Stdin = strings.NewReader("\n\n2\nOrders\norders\nOrderID,Freight\n\n")
	out, err := c.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("   2  "+root+"\n")) || !bytes.Contains(out, []byte("ShipCity\n")) {
		t.Fatalf("%v\n%s", err, out)
	}
	text, _ = os.ReadFile(filepath.Join(p.Dir, "asked.properties"))
	e2etest.Contains(t, "asked.properties", string(text), "\nname=orders\n", "\nsap.odata#00.service="+root+"\n",
		"\nsap.odata#00.topic=orders\n", "\nsap.odata#00.select=OrderID,Freight\n")

	for _, c := range []struct {
		code int
		says string
		args []string
	}{
		{1, "exists", append(flags, "-o", "made.properties")},
		{1, "the nearest name is Orders", append(where, "--yes", "--service", root, "--entity-set", "Ordres")},
		{1, "sap.odata#00.select: ", append(flags, "--select", "Nothing")},
		{2, "--host is needed", []string{"init", "--yes", "--plugins", e2etest.Plugins(t), "--data", p.Data}},
		{2, "--service is needed", append(where, "--yes")},
		{2, "--password-in-file", append(flags, "--password", "geheim")},
		{1, "it is not sent as it stands", append(flags, "--password", "${vault:sap:pw}")},
	} {
		p.Run(c.args...).Exits(c.code).Says(c.says)
	}
	if l := s.Ledger(); l.FailedLogons != 0 {
		t.Errorf("expected no other password to be shown, found refused logons %v", l.FailedLogonsOf)
	}
	p.Run(append(flags, "--password", "geheim", "--password-in-file", "-o", "-")...).
		Exits(0).Prints("sap.odata.user.pwd=geheim\n")
}
