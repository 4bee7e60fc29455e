package delivery

import (
	"strings"
	"syscall"
	"testing"

	"github.com/culvert-project/culvert/internal/e2etest"
)

// TwoGroupsOnATopic pauses the only worker of a group in the middle of a page. Another group refuses to start on its
// config topic, also when the brokers have given the first worker up, until the topic was released. The first worker
// goes on in the middle of a page of the second, and commits nothing more: each row arrives once.
func TwoGroupsOnATopic(t *testing.T, p *e2etest.Place, servers string) {
	const exactly = "exactly.once.source.support=enabled"
	e := NewExactly(t, servers, p, "exact", 19) // 30,000 rows
	g := NewGroup(t, p, servers, 1, exactly)
	elsewhere := *p
	elsewhere.Dir = p.Subfolder("others")
	others := &Group{Place: &elsewhere, servers: servers, lines: []string{exactly, "group.id=others"}}
	refused := func() {
		t.Helper()
		others.Run(append([]string{"run"}, others.arguments(0)...)...).Exits(2).Says("config.storage.topic=configs: "+
			"expected connectors of group.id=others, found the topic to be that of group workers",
			"culvert cluster release")
	}
	e.Arm()
	whole, _ := e.settings("sap.odata#00.exec-period=-1")
	g.put(0, e.Name, e2etest.Configuration(whole))
	e.Waits(g.workers[0].Command)
	others.place()
	refused()
	g.workers[0].Signal(syscall.SIGSTOP)
	var released e2etest.Result
	g.workers[0].Eventually("a group without members", func() bool {
		released = p.Run("cluster", "release", "--plugins", e2etest.Plugins(t, "odata-sink"), "--data", p.Subfolder("released"),
			g.Configured(0))
		if released.Code != 0 {
			released.Exits(1).Tells("a worker of Culvert's is live: stop it first")
			refused()
		}
		return released.Code == 0
	})
	released.Prints("group workers: its leader is fenced", e.Name+": 4 transactional ids fenced",
		e.Name+": 1 task taken out of topic configs", "topic configs: the next group that starts has it")
	close(e.Held.GoOn)

	e.Arm()
	others.Join(0)
	e.Waits(others.workers[0].Command)
	g.workers[0].Signal(syscall.SIGCONT)
	g.workers[0].Awaits("the worker is no member of its group any more")
	g.workers[0].Awaits("this group runs nothing")
	const why = "found the topic to be that of group others"
	for _, call := range []string{"PUT /connectors/exact/pause", "POST /connectors/exact/restart",
		"POST /connectors/exact/restart?includeTasks=true", "POST /connectors/exact/tasks/0/restart",
		"DELETE /connectors/exact"} {
		method, path, _ := strings.Cut(call, " ")
		g.workers[0].Until(409, method, path, "", why)
	}
	g.workers[0].Until(200, "GET", "/culvert/cluster", "", why)
	g.Run("status", "--url", "http://"+g.ids[0]).Prints(why)
	close(e.Held.GoOn)
	var found counted
	others.workers[0].Eventually("all rows", func() bool {
		found = e.inWhole()
		return found.Missing == 0
	})
	g.workers[0].MustStop()
	others.workers[0].MustStop()
	if found = e.inWhole(); found.Missing > 0 || found.Repeated > 0 {
		t.Errorf("expected each row once, found %v", found)
	}
	g.Run(append([]string{"run"}, g.arguments(0)...)...).Exits(2).Says(why)
}
