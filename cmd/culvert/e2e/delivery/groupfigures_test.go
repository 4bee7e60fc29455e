package delivery

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/host/rest"
	"github.com/culvert-project/culvert/internal/odatatest"

	"github.com/culvert-project/culvert/internal/e2etest"
)

// FiguresOfAGroup asks each of three workers about connectors whose tasks run on several, by REST and by commands.
func FiguresOfAGroup(t *testing.T, p *e2etest.Place, servers string) {
	_, address := e2etest.Demo(t, odatatest.Options{Rows: 60, PageSize: 25})
	g := NewGroup(t, p, servers, 3)
	put := func(name string, settings map[string]string) {
		g.workers[0].Must(201, "PUT", "/connectors/"+name+"/config", e2etest.AsJSON(t, settings))
	}
	g.workers[0].Changes()
	// What has come once comes again with a snapshot.
	once := map[string]string{"sap.odata#00.exec-period": "86400", "sap.odata#01.exec-period": "86400"}
	for _, name := range []string{"c0", "c1"} {
		settings := groupSource(address, name)
		maps.Copy(settings, once)
		put(name, settings)
	}
	g.Spreads(2, 4, 0, 1, 2)
	g.figures()
	g.offsets()
}

// motion is how far a connector is, as one worker says.
func (g *Group) motion(by int, name string) (m connect.Figures) {
	g.T.Helper()
	e2etest.Get(g.T, g.workers[by].Url+"/culvert/connectors/"+name, &m)
	return m
}

func (g *Group) figures() {
	t := g.T
	t.Helper()
	for _, name := range []string{"c0", "c1"} {
		g.workers[0].Eventually("one status of "+name+" at every worker, with its plugin", func() bool {
			said := map[string]bool{}
			for _, w := range g.workers {
				said[w.Must(200, "GET", "/connectors/"+name+"/status", "")] = true
			}
			return len(said) == 1 && strings.Contains(slices.Collect(maps.Keys(said))[0], `"plugin":"`)
		})
	}
	for by, w := range g.workers {
		var m connect.Figures
		w.Eventually("figures of both tasks", func() bool {
			m = g.motion(by, "c0")
			return len(m.Tasks) == 2 && m.Tasks[0].Progress != nil && m.Tasks[1].Progress != nil &&
				m.Tasks[0].Rows == 60 && m.Tasks[1].Rows == 77
		})
		if m.State != connect.Running || m.Tasks[0].WorkerID == m.Tasks[1].WorkerID ||
			m.Tasks[1].State != connect.Running {
			t.Errorf("expected tasks of two workers that run, found %+v", m)
		}
		w.Eventually("all rows in culvert status", func() bool {
			out := g.Run("status", "--url", w.Url).Stdout
			return regexp.MustCompile(`(?m)^c0 +source +idle +2 +137 +- +- +0 +-$`).MatchString(out) &&
				strings.Contains(out, "Group workers, generation ") &&
				strings.Contains(out, ": 3 workers, led by 127.0.0.1:")
		})
		shown := g.Run("connectors", "show", "c0", "--url", w.Url).Exits(0)
		shown.Prints("\n    Orders: was read to its end ", "\n    Products: was read to its end ")
		g.Run("connectors", "list", "--url", w.Url).Exits(0).Prints("c0 ", "c1 ")
		g.Run("offsets", "show", "c0", "--url", w.Url).Exits(0).Prints(`"offsets": [`)
	}
	for by, feed := range []string{"Orders", "Products", "Orders"} {
		ident := e2etest.As[map[string]string](t, g.workers[by].Must(202, "POST",
			"/culvert/connectors/c0/feeds/"+feed+"/snapshot", ""))["snapshot"]
		g.workers[by].Eventually("the snapshot", func() bool {
			m := g.motion(by, "c0")
			return slices.ContainsFunc(m.Tasks, func(task connect.TaskFigures) bool {
				if task.Progress == nil || len(task.Feeds) != 1 || task.Feeds[0].LastSnapshot == nil {
					return false
				}
				f := task.Feeds[0]
				return f.Name == feed && f.LastSnapshot.Snapshot == ident && f.LastSnapshot.Begun && f.CaughtUp
			})
		})
	}
	g.workers[2].Must(404, "POST", "/culvert/connectors/c0/feeds/Nothing/snapshot", "")
	g.workers[2].Must(404, "GET", "/culvert/connectors/ghost", "")
}

// offsets are those of a connector that is stopped while a worker with a task of it does not move. They are changed
// when that has ended the task, or the group has given it up; until then its figures are missing, with the reason.
func (g *Group) offsets() {
	t := g.T
	t.Helper()
	var group rest.Group
	e2etest.Get(t, g.workers[0].Url+"/culvert/cluster", &group)
	leader := slices.Index(g.ids, group.Leader)
	other := 0
	task := slices.IndexFunc(g.motion(0, "c0").Tasks, func(task connect.TaskFigures) bool {
		other = slices.Index(g.ids, task.WorkerID)
		return task.WorkerID != group.Leader
	})
	g.workers[leader].Must(400, "DELETE", "/connectors/c0/offsets", "", "must be in the STOPPED state")
	g.workers[other].Signal(syscall.SIGSTOP)
	m := g.motion(leader, "c0")
	if m.Tasks[task].Progress != nil || !strings.Contains(m.Tasks[task].Error, g.ids[other]) ||
		m.Tasks[1-task].Progress == nil {
		t.Errorf("expected figures of task %d alone, found %+v", 1-task, m)
	}
	g.workers[leader].Must(204, "PUT", "/connectors/c0/stop", "")
	answered := make(chan string, 1)
	go func() {
		status, answer := g.workers[leader].Call("DELETE", "/connectors/c0/offsets", "")
		answered <- fmt.Sprint(status, " ", answer)
	}()
	g.motion(leader, "c0") // which takes its time
	select {
	case answer := <-answered:
		t.Errorf("expected the offsets to be changed when no worker has a task, found %s", answer)
		return
	default:
	}
	g.workers[other].Signal(syscall.SIGCONT)
	if answer := <-answered; !strings.HasPrefix(answer, "200 ") {
		t.Errorf("expected the offsets to be changed, found %s", answer)
	}
	for _, w := range g.workers {
		w.Until(200, "GET", "/connectors/c0/offsets", "", `{"offsets":[]}`)
	}
	g.workers[1-leader/2].Must(202, "PUT", "/connectors/c0/resume", "")
	g.workers[leader].Await("c0", "runs again", e2etest.Is(connect.Running, 2))
}
