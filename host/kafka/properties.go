package kafka

import (
	"maps"
	"slices"

	"github.com/culvert-project/culvert/wit"
)

// ClientProperty is a property of Kafka's Java clients that is understood here.
type ClientProperty struct {
	Name string
	Kind wit.SettingKind
	// Clients are those that take it: common (all of them), producer, consumer, admin.
	Clients []string
	// Idle: it is known and changes nothing, since the client does it by itself or has no such thing.
	Idle bool
	// Refused is why it cannot be had; "" otherwise.
	Refused string
}

// ClientProperties are all properties of Kafka's clients that are understood, by name. In a worker's file they stand as
// they are or behind `producer.`, `consumer.` or `admin.`; in a connector's behind `producer.override.` and kin.
func ClientProperties() []ClientProperty {
	found := map[string]*ClientProperty{}
	for _, client := range []struct {
		side side
		name string
	}{{sideCommon, "common"}, {sideProducer, "producer"}, {sideConsumer, "consumer"}, {sideAdmin, "admin"}} {
		for name, p := range settings[client.side] {
			one := found[name]
			if one == nil {
				one = &ClientProperty{Name: name, Kind: p.kind, Idle: p.set == nil}
				found[name] = one
			}
			one.Clients = append(one.Clients, client.name)
			one.Idle = one.Idle && p.set == nil
		}
	}
	for name, s := range securitySettings {
		found[name] = &ClientProperty{Name: name, Clients: []string{"common"}, Idle: s.idle, Refused: s.refuse}
	}
	list := make([]ClientProperty, 0, len(found))
	for _, name := range slices.Sorted(maps.Keys(found)) {
		list = append(list, *found[name])
	}
	return list
}
