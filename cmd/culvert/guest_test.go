package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/examples/demo-service/service"
	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/host/porttest"
	"github.com/culvert-project/culvert/host/transport/connectivitytest"
)

// Tests of what makes Culvert a good guest in an SAP system: PRODUCTION's P10, P11, P16.

// visits is how many rows T4 writes.
const visits = 10_000

// rewrites is how many rows T5 writes: 20,000 with CULVERT_SOAK=1. Servers are killed as often with fewer.
func rewrites() int {
	if os.Getenv("CULVERT_SOAK") != "" {
		return 20_000
	}
	return 8_000
}

// filled is a place with a broker of its own, whose topic Orders has rows in 8 partitions, and the source's service.
func filled(t *testing.T, rows int) (p *place, from *service.Service, worker string) {
	t.Helper()
	p = newPlace(t)
	s, address := demo(t, service.Options{Rows: rows, PageSize: 5000})
	broker := p.start("broker", "--data", p.data, "--listen", "127.0.0.1:0")
	broker.eventually("an address", func() bool { return strings.Contains(broker.stdout.String(), "\n") })
	worker = p.file("worker.properties", "bootstrap.servers=embedded", "key.converter.schemas.enable=false",
		"offset.flush.interval.ms=1000")
	there := p.file("there.properties", append(source("there", address, "Orders"),
		"topic.creation.default.partitions=8", "topic.creation.default.replication.factor=1")...)
	if r := p.run("run", "--once", "--plugins", plugins(t, "odata-sink"), "--data", p.data, worker,
		there); r.code != 0 {
		t.Fatalf("exit %d\n%s", r.code, r.stderr)
	}
	return p, s, worker
}

// copiesOf is a sink with 8 tasks that writes Orders into OrderCopies as user me.
func copiesOf(address string, settings ...string) []string {
	return instead(sinkOf("back", address, "Orders", "OrderCopies"),
		append([]string{"tasks.max=8", "sap.odata.max.concurrent.requests=8", "sap.odata.enable.batch=0",
			"sap.odata.user.name=me", "sap.odata.user.pwd=" + password, "sap.odata.max.retries=10",
			"sap.odata.min.retry.backoff.ms=1", "sap.odata.max.retry.backoff.ms=5"}, settings...)...)
}

// createdOnce checks that all rows were created, and none twice.
func createdOnce(t *testing.T, l service.Ledger, rows int) {
	t.Helper()
	double := 0
	for entity, w := range l.Writes {
		if w.Created != 1 {
			if double++; double < 5 {
				t.Errorf("expected %s to be created once, found %d times", entity, w.Created)
			}
		}
	}
	if len(l.Writes) != rows {
		t.Errorf("expected %d rows, found %d: %d lost", rows, len(l.Writes), rows-len(l.Writes))
	}
}

// T4: 10,000 requests over 8 lanes open at most 8 sessions, and leave none behind.
func TestSessionsAreFewAndLoggedOff(t *testing.T) {
	t.Parallel()
	p, _, worker := filled(t, visits)
	s, address := demo(t, service.Options{Rows: visits, User: "me", Password: password,
		Switches: service.Switches{CSRF: true}})
	back := p.file("back.properties", copiesOf(address)...)
	// Where it came from asks for no logon; a source with one has sessions as well.
	away := p.file("away.properties", instead(source("away", address, "Products", "Customers", "Suppliers"),
		"sap.odata.user.name=me", "sap.odata.user.pwd="+password, "tasks.max=3",
		"sap.odata.max.concurrent.requests=8")...)
	c := p.start("run", "--plugins", plugins(t, "odata-sink"), "--data", p.data, "--set", "listeners=", worker, back,
		away)
	c.eventually("all rows", func() bool { return s.Count("OrderCopies") == visits })
	if l := s.Ledger(); l.SessionsOpen == 0 {
		t.Error("expected sessions while it runs")
	}
	c.signal(syscall.SIGTERM)
	if r := c.wait(); r.code != 0 {
		t.Fatalf("exit %d\n%s", r.code, r.stderr)
	}
	l := s.Ledger()
	createdOnce(t, l, visits)
	if l.SessionsOpened < 2 || l.SessionsOpened > 8 || l.SessionsOpen != 0 || l.SessionsLoggedOff != l.SessionsOpened ||
		l.Logons != l.SessionsOpened || l.FailedLogons != 0 || l.Total < visits {
		t.Errorf("expected 2 to 8 sessions in %d requests, all of them logged off, found %+v, %d logons", l.Total,
			l.Sessions, l.Logons)
	}
	t.Logf("%d requests, %d sessions", l.Total, l.SessionsOpened)
}

// T5: of two application servers one is killed again and again. The dispatcher's page does not say whether the request
// had reached it; an operator finds that it had not, and has the rows sent.
func TestKilledApplicationServers(t *testing.T) {
	t.Parallel()
	const kills = 5
	rows := rewrites()
	p, _, worker := filled(t, rows)
	s, address := demo(t, service.Options{Rows: rows, User: "me", Password: password,
		Switches: service.Switches{CSRF: true, Servers: 2, Match: "POST", KillEvery: rows / kills, KillFor: 100}})
	r, reported := decided(p, "errors.uncertain.send", worker, copiesOf(address))
	l := s.Ledger()
	createdOnce(t, l, rows)
	if r.code != 0 || reported == 0 {
		t.Errorf("expected rows to be reported and all to be written, found exit %d, %d reported: %s", r.code, reported,
			r.lastLine())
	}
	if l.Kills < kills || l.Unreached != l.Kills || l.SessionsOpen != 0 || l.Sessions["me@NWD_01"].Lost == 0 ||
		l.Sessions["me@NWD_02"].Lost == 0 {
		t.Errorf("expected both servers to be killed, found %d kills, sessions %+v", l.Kills, l.Sessions)
	}
	t.Logf("%d kills, %d sessions, %d tokens refused, %d rows reported", l.Kills, l.SessionsOpened, l.TokenRefusals,
		reported)
}

// decided runs a sink until it is done. Whenever records are reported of which nobody knows whether they were written,
// an operator decides.
func decided(p *place, decision, worker string, lines []string) (r result, reported int) {
	p.t.Helper()
	args := []string{"run", "--once", "--plugins", plugins(p.t, "odata-sink"), "--data", p.data, worker,
		p.file("back.properties", lines...)}
	var all []string
	for range 40 {
		if r = p.run(args...); r.code == 0 {
			break
		}
		var named []string
		for _, text := range strings.Split(r.stderr, "topic Orders, partition ")[1:] {
			var partition, offset int
			if n, _ := fmt.Sscanf(text, "%d, offset %d,", &partition, &offset); n == 2 {
				if at := fmt.Sprintf("Orders-%d@%d", partition, offset); !slices.Contains(named, at) {
					named = append(named, at)
				}
			}
		}
		if len(named) == 0 {
			p.t.Fatalf("expected the records to be named, found exit %d: %s", r.code, r.lastLine())
		}
		reported += len(named)
		all = append(all, named...)
		p.file("back.properties", append(slices.Clone(lines), decision+"="+strings.Join(all, ","))...)
	}
	return r, reported
}

// T5 where the killed server had worked on what it was asked: rows whose fate is unknown are reported, and not
// repeated.
func TestKilledApplicationServersThatHadWritten(t *testing.T) {
	t.Parallel()
	const rows = 600
	p, _, worker := filled(t, rows)
	s, address := demo(t, service.Options{Rows: rows, User: "me", Password: password,
		Switches: service.Switches{CSRF: true, Servers: 2, Match: "POST", KillEvery: 290, KillFor: 20,
			KillMode: "applied"}})
	r, reported := decided(p, "errors.uncertain.skip", worker, copiesOf(address)) // the operator finds the row there
	l := s.Ledger()
	// A request that came while the server was away is reported like those that it had worked on: only of these the row
	// is there.
	createdOnce(t, l, len(l.Writes))
	if lost := rows - len(l.Writes); lost > min(reported, l.Unreached) {
		t.Errorf("%d rows are lost: %d were reported, the server did not see %d requests", lost, reported, l.Unreached)
	}
	if r.code != 0 || reported == 0 || l.Kills == 0 {
		t.Errorf("expected rows to be reported and the rest to be written, found exit %d, %d reported, %d kills: %s",
			r.code, reported, l.Kills, r.lastLine())
	}
	t.Logf("%d kills, %d rows reported", l.Kills, reported)
}

// T3, without REST's validations and automatic restarts: a wrong password of 20 connectors is sent once, by whichever
// of them, by commands beside them and after a restart; another one in its file has all of them go on.
func TestWrongPasswordLocksNobody(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	s, address := demo(t, service.Options{Rows: 100, User: "me", Password: "right",
		Switches: service.Switches{LockAfter: 3}})
	secrets := p.file("secrets.properties", "pwd="+password)
	listen := porttest.Address(t)
	worker := p.file("worker.properties", "bootstrap.servers=embedded", "listeners=http://"+listen,
		"config.providers=file",
		"config.providers.file.class=org.apache.kafka.common.config.provider.FileConfigProvider")
	args := []string{"run", "--plugins", plugins(t), "--data", p.data, worker}
	var files []string
	for i := range 20 {
		name := fmt.Sprintf("c%02d", i)
		lines := instead(source(name, address, "Suppliers"), "sap.odata.user.name=me",
			"sap.odata.user.pwd=${file:"+secrets+":pwd}", "sap.odata#00.topic="+name,
			"sap.odata.max.retries=3", "sap.odata.min.retry.backoff.ms=1", "sap.odata.max.retry.backoff.ms=2")
		files = append(files, p.file(name+".properties", lines...))
	}
	states := func(want connect.State) func() bool {
		return func() bool {
			for i := range files {
				var status connect.Status
				if get(t, fmt.Sprintf("http://%s/connectors/c%02d/status", listen, i), &status) != 200 ||
					len(status.Tasks) != 1 ||
					status.Tasks[0].State != want {
					return false
				}
			}
			return true
		}
	}
	for round := range 2 { // the second is a restart
		c := p.start(append(args, files...)...)
		var beside sync.WaitGroup
		for i := range 4 {
			beside.Go(func() {
				if r := p.run("validate", "--data", p.data, "--plugins", plugins(t), worker, files[i]); r.code != 0 {
					t.Errorf("validate: exit %d\n%s%s", r.code, r.stdout, r.stderr)
				}
				r := p.run("ping", "-p", files[i], "--data", p.data, "--plugins", plugins(t), "-s",
					strings.TrimSuffix(service.SAPPath, "/"))
				if r.code != 1 || !strings.Contains(r.stderr, `the password of user "me" was refused (401) at`) {
					t.Errorf("ping: expected exit 1 and who was refused, found %d\n%s%s", r.code, r.stdout, r.stderr)
				}
				withoutPassword(t, r.stdout, r.stderr)
			})
		}
		beside.Wait()
		c.eventually("FAILED", states(connect.Failed))
		if l := s.Ledger(); l.FailedLogons != 1 || l.Total != 1 {
			t.Fatalf("round %d: expected one logon with the wrong password, the service counts %d, %d requests", round,
				l.FailedLogons, l.Total)
		}
		var status connect.Status
		get(t, "http://"+listen+"/connectors/c07/status", &status)
		for _, want := range []string{"http://" + address, `user "me"`, "was refused (401) at 20",
			"change user or password", "culvert run --resume-logons"} {
			if !strings.Contains(status.Tasks[0].Trace, want) {
				t.Errorf("expected %q in the status, found %s", want, status.Tasks[0].Trace)
			}
		}
		if round == 1 {
			if err := os.WriteFile(secrets, []byte("pwd=right\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			c.eventually("RUNNING", states(connect.Running))
			for _, name := range []string{"c00", "c19"} {
				c.eventually("rows of "+name, func() bool {
					return strings.Count(p.run("consume", name, "--data", p.data).stdout, "\n") >= s.Count("Suppliers")
				})
			}
		}
		c.signal(syscall.SIGTERM)
		if r := c.wait(); r.code != 0 {
			t.Fatalf("exit %d\n%s", r.code, r.stderr)
		}
	}
	l := s.Ledger()
	if l.FailedLogons != 1 || l.SessionsOpen != 0 || l.SessionsOpened > 4 {
		t.Errorf("expected nothing but the one refusal, and sessions that all connectors share, found %d refusals, %+v",
			l.FailedLogons, l.Sessions)
	}
	for _, name := range []string{"c00", "c19"} {
		if got := len(p.records(name)); got != s.Count("Suppliers") {
			t.Errorf("%s: expected %d records, found %d", name, s.Count("Suppliers"), got)
		}
	}
}

// A user that was locked and unlocked again is tried once more when an operator says so, and not before.
func TestResumeLogons(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	s, address := demo(t, service.Options{Rows: 10, User: "me", Password: password,
		Switches: service.Switches{LockAfter: 1}})
	request, err := http.NewRequest("GET", "http://"+address+service.SAPPath, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.SetBasicAuth("me", "somebody's guess")
	if r, err := http.DefaultClient.Do(request); err != nil || r.StatusCode != 401 {
		t.Fatal(r, err)
	}
	file := p.file("orders.properties", instead(source("orders", address, "Orders"), "sap.odata.user.name=me",
		"sap.odata.user.pwd="+password)...)
	args := []string{"run", "--once", "--plugins", plugins(t), "--data", p.data, file}
	for range 2 {
		if r := p.run(args...); r.code != 1 || !strings.Contains(r.lastLine(), "--resume-logons") {
			t.Errorf("expected exit 1, found %d: %s", r.code, r.lastLine())
		}
	}
	if diff := cmp.Diff(map[string]int{"me": 2}, s.Ledger().FailedLogonsOf); diff != "" {
		t.Errorf("(the first is not ours) %s", diff)
	}
	listen := porttest.Address(t)
	beside := p.file("beside.properties", instead(source("beside", address, "Suppliers"), "sap.odata.user.name=me",
		"sap.odata.user.pwd="+password)...)
	c := p.start("run", "--plugins", plugins(t), "--data", p.data, "--set", "listeners=http://"+listen, beside)
	state := func(want connect.State) func() bool {
		return func() bool {
			var status connect.Status
			return get(t, "http://"+listen+"/connectors/beside/status", &status) == 200 && len(status.Tasks) == 1 &&
				status.Tasks[0].State == want
		}
	}
	c.eventually("FAILED", state(connect.Failed))
	s.Set("unlock-users", "")
	if r := p.run("ping", "-p", file, "--data", p.data, "--plugins", plugins(t), "-s",
		strings.TrimSuffix(service.SAPPath, "/")); r.code != 1 {
		t.Errorf("expected exit 1 before anybody has said so, found %d", r.code)
	}
	// The data folder is the worker's that runs, whose logons are resumed all the same.
	if r := p.run(append(args, "--resume-logons")...); r.code != 2 || !strings.Contains(r.stderr,
		"refused logons are tried once more") {
		t.Errorf("expected exit 2, found %d\n%s", r.code, r.stderr)
	}
	c.eventually("RUNNING", state(connect.Running)) // a worker that runs goes on by itself
	c.eventually("its rows", func() bool {
		r := p.run("consume", "Suppliers", "--data", p.data) // there is no such topic at first
		return r.code == 0 && strings.Count(r.stdout, "\n") == s.Count("Suppliers")
	})
	c.signal(syscall.SIGTERM)
	if r := c.wait(); r.code != 0 {
		t.Errorf("exit %d\n%s", r.code, r.stderr)
	}
	if files := p.refusals(); len(files) != 0 {
		t.Errorf("expected no refusal to be left, found %v", files)
	}
}

// In a maintenance window nothing is sent; the task runs, and says why.
func TestMaintenanceWindow(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	s, address := demo(t, service.Options{Rows: 10})
	listen := porttest.Address(t)
	file := p.file("orders.properties", append(source("orders", address, "Orders"),
		"sap.odata.maintenance.windows=* * * * * ?/1h Europe/Berlin")...)
	c := p.start("run", "--plugins", plugins(t), "--data", p.data, "--set", "listeners=http://"+listen, file)
	why := "maintenance window: nothing is sent to http://" + address + " until "
	c.says(why)
	var status connect.Status
	c.eventually("the reason", func() bool {
		return get(t, "http://"+listen+"/connectors/orders/status", &status) == 200 && len(status.Tasks) == 1 &&
			strings.Contains(status.Tasks[0].Trace, why)
	})
	if status.Tasks[0].State != connect.Running || s.Ledger().Total != 0 {
		t.Errorf("expected it RUNNING without any request, found %s, %d requests", status.Tasks[0].State,
			s.Ledger().Total)
	}
	c.signal(syscall.SIGTERM)
	if r := c.wait(); r.code != 0 {
		t.Errorf("exit %d\n%s", r.code, r.stderr)
	}
	wrong := p.file("wrong.properties", append(source("wrong", address, "Orders"),
		"sap.odata.maintenance.windows=Sundays")...)
	if r := p.run("validate", "--plugins", plugins(t), wrong); r.code != 1 || !strings.Contains(r.stdout,
		"sap.odata.maintenance.windows: expected START/DURATION ZONE") {
		t.Errorf("expected exit 1, found %d\n%s", r.code, r.stdout)
	}
}

// T13: all tunnels of a Cloud Connector break in mid-load, and it is away for a while (REP 03): no task fails, nothing
// is lost.
func TestCloudConnectorAwayInMidLoad(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	account := connectivitytest.NewServer()
	t.Cleanup(account.Close)
	p.environ = []string{"VCAP_SERVICES=" + account.VCAP(0)}
	const rows = 2000
	s := service.New(service.Options{Rows: rows, PageSize: 20})
	g := &gate{inner: s, set: "/Orders", turns: make(chan struct{}, 3*rows)} // so that the load lasts
	server := httptest.NewServer(g)
	t.Cleanup(server.Close)
	account.Attach("DE-Berlin")
	account.MapAt("DE-Berlin", "s4.virtual:8000", strings.TrimPrefix(server.URL, "http://"))
	file := p.file("orders.properties", instead(source("orders", "s4.virtual:8000", "Orders"),
		"sap.odata.proxy.type=sap-connectivity-socks5", "sap.odata.proxy.location.id=DE-Berlin",
		"sap.odata.max.retries=3", "sap.odata.min.retry.backoff.ms=10", "sap.odata.max.retry.backoff.ms=50", silent)...)
	listen := porttest.Address(t)
	c := p.start("run", "--plugins", plugins(t), "--data", p.data, "--set", "listeners=http://"+listen, file)
	running := func() {
		var status connect.Status
		if get(t, "http://"+listen+"/connectors/orders/status", &status) != 200 || len(status.Tasks) != 1 ||
			status.Tasks[0].State != connect.Running {
			t.Fatalf("expected a task that is RUNNING, found %+v\n%s", status, c.stderr.String())
		}
	}
	pages := func(n int) { c.eventually(fmt.Sprintf("%d pages", n), func() bool { return s.Ledger().Pages >= n }) }
	for n := range 2 {
		g.let(20)
		pages(10 + 20*n)
		before := account.Count(away)
		account.Detach("DE-Berlin")
		account.DropTunnels()
		// It is tried again and again, which counts for no retry of the request.
		c.eventually("attempts", func() bool { running(); return account.Count(away) > before+2 })
		account.Attach("DE-Berlin")
	}
	g.let(rows)
	pages(rows / 20)
	c.eventually("all records", func() bool { return len(p.records("Orders")) >= rows })
	running()
	c.signal(syscall.SIGTERM)
	if r := c.wait(); r.code != 0 {
		t.Errorf("exit %d\n%s", r.code, r.stderr)
	}
	seen := map[any]bool{}
	for _, r := range p.records("Orders") {
		seen[r["key"].(map[string]any)["payload"].(map[string]any)["OrderID"]] = true
	}
	if len(seen) != rows {
		t.Errorf("expected %d rows, found %d", rows, len(seen))
	}
}

// away are the attempts that a Cloud Connector did not answer.
func away(e connectivitytest.Entry) bool { return e.Port == "socks5" && e.Code == 3 }
