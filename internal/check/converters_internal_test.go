package check

import (
	"fmt"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/internal/resolved/resolvedtest"
	"github.com/culvert-project/culvert/wit"
)

// The setting for the place where schema IDs are written is only a warning for a sink: its converter reads them, in any
// place.
func TestSinkWarnsOfSchemaIDLocation(t *testing.T) {
	written := resolvedtest.Connector(t, `connector.class=C
key.converter=StringConverter
value.converter=AvroConverter
value.converter.schema.registry.url=http://127.0.0.1:1
value.converter.value.schema.id.serializer=x.HeaderSchemaIdSerializer`)
	resolver := resolved.Resolver{Worker: resolvedtest.Worker(t, "bootstrap.servers=embedded")}
	checker := &Checker{Worker: resolver.Worker, Registry: record.NewRegistry()}
	const prefix = "c.properties:5: value.converter.value.schema.id.serializer: "
	for kind, want := range map[wit.ComponentKind][]string{
		wit.ComponentSource: {prefix +
			"Value x.HeaderSchemaIdSerializer for configuration value.schema.id.serializer " +
			"is not built yet; built: io.confluent.kafka.serializers.schema.id.PrefixSchemaIdSerializer"},
		wit.ComponentSink: {prefix + "warning: has no effect on a sink: it specifies how values are written, and a " +
			"sink only reads them"},
	} {
		connector := resolver.ResolveAs(written, plugin.NewComponent(&wit.Component{Kind: kind}))
		var got []string
		for _, p := range checker.checkConverters(connector) {
			got = append(got, p.String())
		}
		assert.Equal(t, want, got, fmt.Sprintf("kind %d", kind))
	}
}
