package check

import (
	"fmt"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
)

// The setting for the place where schema IDs are written is only a warning for a sink: its converter reads them, in any
// place.
func TestSinkWarnsOfSchemaIDLocation(t *testing.T) {
	entries, _ := config.Read("c.properties", []byte(`connector.class=C
key.converter=StringConverter
value.converter=AvroConverter
value.converter.schema.registry.url=http://127.0.0.1:1
value.converter.value.schema.id.serializer=x.HeaderSchemaIdSerializer`))
	lines, _ := config.Read("w.properties", []byte("bootstrap.servers=embedded"))
	worker, problems := config.NewWorker("w.properties", lines, nil, nil)
	require.NoError(t, problems.Err())
	connector, problems := config.NewConnector("c.properties", entries, worker.Providers)
	require.True(t, len(problems) == 0, "%v", problems)
	checker := &Checker{Worker: worker, Registry: record.NewRegistry()}
	const prefix = "c.properties:5: value.converter.value.schema.id.serializer: "
	for kind, want := range map[wit.ComponentKind][]string{
		wit.ComponentSource: {prefix +
			"Value x.HeaderSchemaIdSerializer for configuration value.schema.id.serializer " +
			"is not built yet; built: io.confluent.kafka.serializers.schema.id.PrefixSchemaIdSerializer"},
		wit.ComponentSink: {prefix + "warning: has no effect on a sink: it specifies how values are written, and a " +
			"sink only reads them"},
	} {
		component := plugin.NewComponent(&wit.Component{Kind: kind})
		var got []string
		for _, p := range checker.checkConverters(connector, component) {
			got = append(got, p.String())
		}
		assert.Equal(t, want, got, fmt.Sprintf("kind %d", kind))
	}
}
