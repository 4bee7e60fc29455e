package source

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/porttest"
)

// These tests check that Culvert spares an SAP system: few sessions, no locked users, maintenance windows (RATIONALE.md
// P10, P11, P16).

// 500 requests over 8 connections open at most 8 sessions, and all of them are closed.
func TestSessionsAreFewAndLoggedOff(t *testing.T) {
	t.Parallel()
	const rows = 500
	p, _, worker := e2etest.NewFilledPlace(t, rows)
	s, address := e2etest.StartDemo(t, odatatest.Options{Rows: rows, User: "me", Password: e2etest.Password,
		Switches: odatatest.Switches{CSRF: true}})
	back := p.File("back.properties", e2etest.CopySink(address)...)
	// This service requires no logon; a source with one has sessions as well.
	away := p.File("away.properties", e2etest.WithLogon(e2etest.Source("away", address, "Products", "Customers",
		"Suppliers"),
		"tasks.max=3", "sap.odata.max.concurrent.requests=8")...)
	c := p.Start("run", "--plugins", e2etest.Plugins(t, "odata-sink"), "--data", p.Data, "--set", "listeners=", worker,
		back, away)
	c.Eventually("all rows", func() bool { return s.Count("OrderCopies") == rows })
	assert.True(t, s.Ledger().SessionsOpen != 0, "expected sessions while it runs")
	c.MustStop()
	l := s.Ledger()
	e2etest.CheckCreatedOnce(t, l, rows)
	assert.True(t, l.SessionsOpened >= 2 && l.SessionsOpened <= 8 && l.SessionsOpen == 0 &&
		l.SessionsLoggedOff == l.SessionsOpened && l.Logons == l.SessionsOpened && l.FailedLogons == 0 &&
		l.Total >= rows, "expected 2 to 8 sessions in %d requests, all of them logged off, found %+v, %d logons",
		l.Total, l.Sessions, l.Logons)
	t.Logf("%d requests, %d sessions", l.Total, l.SessionsOpened)
}

// Sessions that expire again and again, with 401 and a page, stop neither a source nor a sink: all rows arrive once,
// and no password counts as wrong.
func TestExpiredSessionsStopNoConnector(t *testing.T) {
	t.Parallel()
	const rows, page = 600, 5
	p, _, worker := e2etest.NewFilledPlace(t, rows)
	s, address := e2etest.StartDemo(t, odatatest.Options{Rows: rows, PageSize: page, User: "me",
		Password: e2etest.Password,
		Switches: odatatest.Switches{CSRF: true, SessionEnd: "401", ExpireEvery: 19, LockAfter: 3}})
	listen := porttest.Address(t)
	back := p.File("back.properties", e2etest.WithSettings(e2etest.CopySink(address), "tasks.max=1",
		"sap.odata.enable.batch=1", "sap.odata.max.batch.size=5")...)
	away := p.File("away.properties", e2etest.WithLogon(e2etest.WithSettings(e2etest.Source("away", address, "Orders"),
		"sap.odata#00.topic=Away", fmt.Sprint("sap.odata#00.page.size=", page)))...)
	c := p.Start("run", "--plugins", e2etest.Plugins(t, "odata-sink"), "--data", p.Data, "--set",
		"listeners=http://"+listen, worker, back, away)
	c.Eventually("all rows", func() bool { return s.Count("OrderCopies") == rows })
	c.AwaitRecords(p, "Away", rows)
	for _, name := range []string{"back", "away"} {
		if task := e2etest.TaskOf(t, listen, name); task.State != connect.Running {
			t.Errorf("%s: expected it RUNNING, found %s: %s", name, task.State, task.Trace)
		}
	}
	c.MustStop()
	p.CheckRecordCount("Away", rows)
	_, keys := p.TopicValues("Away")
	slices.Sort(keys)
	assert.Equal(t, rows, len(slices.Compact(keys)), "rows of the source, each once")
	l := s.Ledger()
	e2etest.CheckCreatedOnce(t, l, rows)
	timedOut := l.Sessions["me@NWD_01"].TimedOut
	assert.True(t, timedOut >= 10 && l.FailedLogons == 0 && len(p.Refusals()) == 0,
		"expected sessions that timed out and no wrong password, found %+v, %d, %v", l.Sessions, l.FailedLogons,
		p.Refusals())
	t.Logf("%d requests, %d sessions, %d timed out", l.Total, l.SessionsOpened, timedOut)
}

// Of two application servers one is killed repeatedly. The dispatcher's page does not report whether the request had
// reached it; an operator finds that it had not, and has the rows sent.
func TestKilledApplicationServers(t *testing.T) {
	t.Parallel()
	const kills = 5
	rows := e2etest.LongOrShort(20_000, 500) // servers are killed as often with fewer
	p, _, worker := e2etest.NewFilledPlace(t, rows)
	s, address := e2etest.StartDemo(t, odatatest.Options{Rows: rows, User: "me", Password: e2etest.Password,
		Switches: odatatest.Switches{CSRF: true, Servers: 2, Match: "POST", KillEvery: rows / kills,
			KillFor: min(100, rows/20)}})
	advice := regexp.MustCompile(`errors\.uncertain\.send=(\S+) to send`)
	lines := e2etest.CopySink(address)
	var sent []string
	r := p.RunOnceWith(e2etest.Plugins(t, "odata-sink"), worker, p.File("back.properties", lines...))
	for n := 0; r.Code != 0 && n < 40; n++ {
		isNamed := map[string]bool{}
		for _, match := range advice.FindAllStringSubmatch(r.Stderr, -1) {
			for name := range strings.SplitSeq(match[1], ",") {
				isNamed[name] = true
			}
		}
		require.True(t, len(isNamed) != 0, "expected the records to be named, found exit %d: %s", r.Code, r.LastLine())
		sent = slices.AppendSeq(sent, maps.Keys(isNamed))
		r = p.RunOnceWith(e2etest.Plugins(t, "odata-sink"), worker, p.File("back.properties",
			e2etest.WithSettings(lines, "errors.uncertain.send="+strings.Join(sent, ","))...))
	}
	l := s.Ledger()
	e2etest.CheckCreatedOnce(t, l, rows)
	r.WantCode(0)
	assert.True(t, len(sent) != 0, "expected rows to be reported")
	assert.True(t, l.Kills >= kills && l.Unreached == l.Kills && l.SessionsOpen == 0 &&
		l.Sessions["me@NWD_01"].Lost != 0 && l.Sessions["me@NWD_02"].Lost != 0,
		"expected both servers to be killed, found %d kills, sessions %+v", l.Kills, l.Sessions)
	t.Logf("%d kills, %d sessions, %d tokens refused, %d rows reported", l.Kills, l.SessionsOpened, l.TokenRefusals,
		len(sent))
}

// Without automatic restarts, 8 connectors, commands and a restarted worker send a wrong password once in all. With
// another password in the file all of them continue.
func TestWrongPasswordLocksNoUser(t *testing.T) {
	t.Parallel()
	p, s, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 100, User: "me", Password: "right",
		Switches: odatatest.Switches{LockAfter: 3}})
	secrets := p.File("secrets.properties", "pwd="+e2etest.Password)
	listen := porttest.Address(t)
	worker := p.File("worker.properties", "bootstrap.servers=embedded", "listeners=http://"+listen,
		"config.providers=file",
		"config.providers.file.class=org.apache.kafka.common.config.provider.FileConfigProvider")
	args := []string{"run", "--plugins", e2etest.Plugins(t), "--data", p.Data, worker}
	const connectors = 8
	var files []string
	for i := range connectors {
		name := fmt.Sprintf("c%02d", i)
		lines := e2etest.WithSettings(e2etest.Source(name, address, "Suppliers"), "sap.odata.user.name=me",
			"sap.odata.user.pwd=${file:"+secrets+":pwd}", "sap.odata#00.topic="+name,
			"sap.odata.max.retries=3", "sap.odata.min.retry.backoff.ms=1", "sap.odata.max.retry.backoff.ms=2")
		files = append(files, p.File(name+".properties", lines...))
	}
	allTasks := func(want connect.State) func() bool {
		return func() bool {
			for i := range files {
				if e2etest.TaskOf(t, listen, fmt.Sprintf("c%02d", i)).State != want {
					return false
				}
			}
			return true
		}
	}
	for round := range 2 { // the second round starts the worker again
		c := p.Start(append(args, files...)...)
		var parallel sync.WaitGroup
		for i := range 2 {
			parallel.Go(func() {
				r := p.Run("ping", "-p", files[i], "--data", p.Data, "--plugins", e2etest.Plugins(t), "-s",
					strings.TrimSuffix(odatatest.SAPPath, "/"))
				r.WantCode(1).WantStderr(`the password of user "me" was refused (401) at`)
				e2etest.CheckNoPassword(t, r.Stdout, r.Stderr)
			})
		}
		parallel.Wait()
		c.Eventually("FAILED", allTasks(connect.Failed))
		if l := s.Ledger(); l.FailedLogons != 1 || l.Total != 1 {
			t.Fatalf("round %d: expected one logon with the wrong password, the service counts %d, %d requests", round,
				l.FailedLogons, l.Total)
		}
		trace := e2etest.TaskOf(t, listen, "c07").Trace
		assert.Contains(t, trace, "http://"+address, `user "me"`, "was refused (401) at 20",
			"correct user or password", "culvert connectors lockouts resume")
		if round == 1 {
			require.NoError(t, os.WriteFile(secrets, []byte("pwd=right\n"), 0o600))
			c.Eventually("RUNNING", allTasks(connect.Running))
			for _, name := range []string{"c00", "c05"} {
				c.AwaitRecords(p, name, s.Count("Suppliers"))
			}
		}
		c.MustStop()
	}
	l := s.Ledger()
	assert.True(t, l.FailedLogons == 1 && l.SessionsOpen == 0 && l.SessionsOpened <= 4,
		"expected nothing but the one refusal, and sessions that all connectors share, found %d refusals, %+v",
		l.FailedLogons, l.Sessions)
	for _, name := range []string{"c00", "c05"} {
		assert.Equal(t, s.Count("Suppliers"), len(p.Records(name)), name, "records")
	}
}

// A user that was locked and unlocked is tried again when an operator requests it, and not before.
func TestResumeLogons(t *testing.T) {
	t.Parallel()
	p, s, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 10, User: "me", Password: e2etest.Password,
		Switches: odatatest.Switches{LockAfter: 1}})
	e2etest.LockUser(t, address)
	file := p.File("orders.properties", e2etest.WithLogon(e2etest.Source("orders", address, "Orders"))...)
	args := []string{"run", "--once", "--plugins", e2etest.Plugins(t), "--data", p.Data, file}
	for range 2 {
		if r := p.Run(args...); r.Code != 1 || !strings.Contains(r.LastLine(), "--resume-logons") {
			t.Errorf("expected exit 1, found %d: %s", r.Code, r.LastLine())
		}
	}
	assert.Equal(t, map[string]int{"me": 2}, s.Ledger().FailedLogonsOf,
		"refused logons, of which the first is not ours")
	listen := porttest.Address(t)
	neighbour := p.File("beside.properties", e2etest.WithLogon(e2etest.Source("beside", address, "Suppliers"))...)
	c := p.Start("run", "--plugins", e2etest.Plugins(t), "--data", p.Data, "--set", "listeners=http://"+listen,
		neighbour)
	state := func(want connect.State) func() bool {
		return func() bool { return e2etest.TaskOf(t, listen, "beside").State == want }
	}
	c.Eventually("FAILED", state(connect.Failed))
	s.Set("unlock-users", "")
	p.Run("ping", "-p", file, "--data", p.Data, "--plugins", e2etest.Plugins(t), "-s",
		strings.TrimSuffix(odatatest.SAPPath, "/")).WantCode(1)
	// The data folder belongs to the running worker; its logons are resumed nevertheless.
	p.Run(append(args, "--resume-logons")...).WantCode(2).WantStderr("rejected logons are tried once more")
	c.Eventually("RUNNING", state(connect.Running)) // the running worker continues by itself
	c.AwaitRecords(p, "Suppliers", s.Count("Suppliers"))
	c.MustStop()
	p.CheckRecordCount("Suppliers", s.Count("Suppliers"))
	assert.Len(t, 0, p.Refusals(), "refusal to be left")
}

// In a maintenance window nothing is sent; the task is RUNNING and reports the window.
func TestMaintenanceWindow(t *testing.T) {
	t.Parallel()
	p, s, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 10})
	listen := porttest.Address(t)
	file := p.File("orders.properties", append(e2etest.Source("orders", address, "Orders"),
		"sap.odata.maintenance.windows=* * * * * ?/1h Europe/Berlin")...)
	c := p.Start("run", "--plugins", e2etest.Plugins(t), "--data", p.Data, "--set", "listeners=http://"+listen, file)
	reason := "maintenance window: no requests to http://" + address + " until "
	c.AwaitStderr(reason)
	var task connect.TaskStatus
	c.Eventually("the reason", func() bool {
		task = e2etest.TaskOf(t, listen, "orders")
		return strings.Contains(task.Trace, reason)
	})
	if n := s.Ledger().Total; task.State != connect.Running || n != 0 {
		t.Errorf("expected it RUNNING without any request, found %s, %d requests", task.State, n)
	}
	c.MustStop()
}
