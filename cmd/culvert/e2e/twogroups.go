package e2e

import (
	"encoding/json"
	"testing"

	"github.com/culvert-project/culvert/examples/demo-service/service"
)

// TwoGroupsOnATopic has a group run nothing on the config topic of another, and say why, until that has no workers.
func TwoGroupsOnATopic(t *testing.T, p *Place, servers string) {
	_, address := Demo(t, service.Options{Rows: 60, PageSize: 25})
	g := NewGroup(t, p, servers, 1)
	g.posted(address, 1)
	g.Spreads(1, 2, 0)
	elsewhere := *p
	elsewhere.Dir = p.Subfolder("others")
	others := NewGroup(t, &elsewhere, servers, 1, "group.id=others")
	const why = "config.storage.topic=configs: expected connectors of group.id=others, found the topic to be that of " +
		"group workers, which runs them"
	others.workers[0].Until(200, "GET", "/culvert/cluster", "", why)
	others.Run("status", "--url", "http://"+others.ids[0]).Prints(why)
	body, err := json.Marshal(map[string]any{"name": "d", "config": groupSource(address, "d")})
	NoError(t, err)
	others.workers[0].Must(409, "POST", "/connectors", string(body), why)
	others.workers[0].Must(409, "PUT", "/connectors/c0/pause", "", why)
	others.workers[0].Must(409, "POST", "/connectors/c0/restart?includeTasks=true", "", why)
	g.Spreads(1, 2, 0)
	g.workers[0].MustStop()
	others.Spreads(1, 2, 0)
}
