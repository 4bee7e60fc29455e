package operate

import (
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// Operators configure loggers by name: each line keeps its logger when its code moves.
func TestLinesKeepTheirLoggers(t *testing.T) {
	t.Parallel()
	loggers := map[string][]string{
		"org.apache.kafka.connect.runtime": {"REST listens", "connector started", "reload: a new connector",
			"reload: the connector's file was deleted"},
		"org.apache.kafka.connect.runtime.isolation": {"plugin loaded", "extraction finished"},
		"org.apache.kafka.connect.runtime.rest":      {"changed by REST"},
		"org.apache.kafka.clients":                   {"embedded Kafka broker"},
		"org.init.ohja.kafka.connect.odatav2.source": {"source task ended"},
		"org.init.ohja.kafka.connect.odatav2.sink":   {"sink task ended"},
		"org.init.ohja.kafka.connect.odatav2.http":   {"msg=request "},
	}
	for logger := range loggers {
		t.Run(logger, func(t *testing.T) {
			t.Parallel()
			p, s, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 5})
			p.File("conf/orders.properties", e2etest.Source("orders", address, "Orders")...)
			levels := []string{"logging.level.root=OFF", "logging.level." + logger + "=DEBUG"}
			for other := range loggers {
				if strings.HasPrefix(other, logger+".") {
					levels = append(levels, "logging.level."+other+"=OFF")
				}
			}
			f := p.StartWorkerWith(e2etest.Plugins(t, "odata-sink"), "conf", levels...)
			f.Await("orders", "runs", e2etest.IsRunning)
			f.Steer("orders", "pause")
			f.MustCall(202, "PUT", "/connectors/orders/resume", "")
			p.File("conf/back.properties", e2etest.Sink("back", address, "Orders", "OrderCopies")...)
			f.Await("back", "runs", e2etest.HasState(connect.Running, 1))
			f.Eventually("rows", func() bool { return len(e2etest.Entities(s, "OrderCopies")) == 5 })
			f.DeleteFile("conf/orders.properties")
			f.Eventually("the end of orders", func() bool { return len(f.ConnectorNames()) == 1 })
			f.Stop()
			for name, lines := range loggers {
				for _, line := range lines {
					isLogged := strings.Contains(f.Stderr.String(), line)
					assert.True(t, isLogged == (name == logger), "%q of logger %s: expected %t, found %t\n%s", line,
						name, name == logger, isLogged, f.Stderr.String())
				}
			}
		})
	}
}
