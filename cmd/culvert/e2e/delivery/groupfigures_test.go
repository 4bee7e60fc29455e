package delivery

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
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
	taker, refusing := e2etest.Demo(t, odatatest.Options{Rows: 1, Switches: odatatest.Switches{Match: "POST", Status: 400,
		StatusCount: 1_000_000}})
	g := NewGroup(t, p, servers, 3)
	put := func(name string, settings map[string]string) {
		body, err := json.Marshal(settings)
		e2etest.NoError(t, err)
		g.workers[0].Must(201, "PUT", "/connectors/"+name+"/config", string(body))
	}
	g.workers[0].Changes()
	// What has come once comes again with a snapshot.
	once := map[string]string{"sap.odata#00.exec-period": "86400", "sap.odata#01.exec-period": "86400"}
	settings := groupSource(address, "c0")
	maps.Copy(settings, once)
	put("c0", settings)
	schemas := []string{"value.converter=org.apache.kafka.connect.json.JsonConverter",
		"value.converter.schemas.enable=true"}
	settings = groupSource(address, "c1")
	maps.Copy(settings, once)
	maps.Copy(settings, e2etest.Configuration(schemas))
	put("c1", settings)
	put("back", e2etest.Configuration(append(append(e2etest.SinkOf("back", refusing, "c1Orders", "OrderCopies"), schemas...),
		"errors.tolerance=all",
		"errors.deadletterqueue.topic.name=refused", "errors.deadletterqueue.context.headers.enable=true",
		"errors.deadletterqueue.topic.replication.factor=1", "consumer.override.auto.offset.reset=earliest")))
	g.Spreads(3, 5, 0, 1, 2)
	g.figures()
	g.observed()
	g.noted()
	g.letters(taker)
	g.offsets()
}

// motion is how far a connector is, as one worker says.
func (g *Group) motion(by int, name string) (m connect.Figures) {
	g.T.Helper()
	e2etest.Get(g.T, g.workers[by].Url+"/culvert/connectors/"+name, &m)
	return m
}

// observed looks at what connectors do, and what they use, as each worker tells it of all.
func (g *Group) observed() {
	t := g.T
	t.Helper()
	for _, w := range g.workers {
		var all rest.Listing
		w.Eventually("a listing of all", func() bool {
			e2etest.Get(t, w.Url+"/culvert/connectors?search=c", &all)
			return len(all.Connectors) == 3 && all.Counts["idle"] == 3 && len(all.Silent) == 0
		})
		for _, l := range all.Connectors {
			if want := map[string]int{"back": 1}[l.Name]; l.Tasks != 2-want || l.Failed != 0 || l.Since == nil {
				t.Errorf("found %+v", l)
			}
		}
		var flow rest.Flow
		e2etest.Get(t, w.Url+"/culvert/connectors/c0/flow", &flow)
		if flow.Tasks != 2 || len(flow.Stages) != 4 || len(flow.Silent) != 0 {
			t.Errorf("found %+v", flow)
		}
		var origins rest.Origins
		e2etest.Get(t, w.Url+"/culvert/origins", &origins)
		workers := map[string]bool{}
		for _, o := range origins.Origins {
			workers[o.WorkerID] = true
		}
		if len(workers) < 2 || len(origins.Silent) != 0 {
			t.Errorf("found %+v", origins)
		}
	}
}

func (g *Group) figures() {
	t := g.T
	t.Helper()
	for _, name := range []string{"c0", "c1", "back"} {
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
		g.Run("connectors", "list", "--url", w.Url).Exits(0).Prints("c0 ", "c1 ", "back ")
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

// noted are topics that a connector has used, which all workers show, and forget when one is asked to.
func (g *Group) noted() {
	g.T.Helper()
	topics := func(want string) {
		g.T.Helper()
		for _, w := range g.workers {
			w.Eventually("topics "+want, func() bool {
				var all map[string]struct{ Topics []string }
				e2etest.Get(g.T, w.Url+"/connectors/c0/topics", &all)
				return fmt.Sprint(all["c0"].Topics) == want
			})
		}
	}
	topics("[c0Orders c0Products]")
	g.workers[1].Must(202, "PUT", "/connectors/c0/topics/reset", "")
	topics("[]")
	g.workers[0].Must(202, "POST", "/culvert/connectors/c0/feeds/Products/snapshot", "")
	topics("[c0Products]")
}

// letters are dead letters, which all workers show, and which are replayed once although two are asked at the same
// time.
func (g *Group) letters(taker *odatatest.Service) {
	t := g.T
	t.Helper()
	for _, w := range g.workers {
		w.Eventually("dead letters", func() bool {
			_, answer := w.Call("GET", "/culvert/connectors/back/deadletters", "")
			return strings.Count(answer, `"offset":`) == 2*60 // of the letter, and of its record
		})
		w.Must(404, "GET", "/culvert/connectors/c0/deadletters", "")
	}
	g.Run("dlq", "list", "refused", "--bootstrap-servers", g.servers).Exits(0).Prints("back")
	taker.Set("status-count", "0")
	var asking sync.WaitGroup
	answers := make([]string, 3)
	for by, w := range g.workers {
		asking.Go(func() { _, answers[by] = w.Call("POST", "/culvert/connectors/back/deadletters/replay", "") })
	}
	asking.Wait()
	done := strings.Join(answers, "\n")
	if n := taker.Count("OrderCopies"); n != 60 || strings.Count(done, `"replayed":60,`) != 1 ||
		strings.Count(done, "dead letters are being replayed already") != 2 {
		t.Errorf("expected 60 entities by one of three replays, found %d: %s", n, done)
	}
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
