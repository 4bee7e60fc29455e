package cluster

import (
	"log/slog"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/cluster/groupview"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/configtopic"
	"github.com/culvert-project/culvert/internal/plugin"
)

// A connector, or one of its stages, that specifies a version of its plugin fits workers with that version, whatever
// version the group runs. Others fit workers with the group's version. The error names what no worker has.
func TestConnectorFitsWorkersWithItsVersion(t *testing.T) {
	t.Parallel()
	worker, _ := config.NewWorker("", nil, nil, nil)
	store := configtopic.NewStore("configs", worker, nil, slog.New(slog.DiscardHandler))
	pin, err := configtopic.AnnotationRecord(pinPrefix+"shop", groupview.Pin{Version: "2.0", Hash: "5fe2"})
	require.NoError(t, err)
	store.Apply(pin)
	store.CaughtUp()
	l := newLeader(&Worker{options: WorkerOptions{Topics: Topics{Store: store},
		ResolveClass: func(class string) (name, plugin string) {
			return class, map[string]string{"Shop": "shop", "Cast": "smt"}[class]
		}}})
	member := func(classes []string, offers ...plugin.Offer) (m Member) {
		m.Plugins = offers
		for _, class := range classes {
			m.Classes = append(m.Classes, KeyOf(class))
		}
		return m
	}
	old := plugin.Offer{Name: "shop", Version: "1.0"}
	newer := plugin.Offer{Name: "shop", Version: "2.0"}
	rejected := plugin.Offer{Name: "shop", Version: "1.0", Rejected: true}
	smt := plugin.Offer{Name: "smt", Version: "1.1"}
	members := []Member{member([]string{"Shop", "Cast"}, newer, old, smt), member([]string{"Shop"}, newer),
		member([]string{"Cast"}, old, smt), member([]string{"Shop", "Cast"}, newer, rejected, smt), member(nil, smt)}
	stage := map[string]string{"transforms": "x", "transforms.x.type": "Cast"}
	for _, c := range []struct {
		class       string
		version     string // of the connector's plugin; "" means any
		castVersion string // of the plugin of its stage; "" means any, "-" no stage
		fit         []bool // by member
		unmet       string
	}{
		{class: "Shop", castVersion: "-", fit: []bool{true, true, false, true, false}},
		{class: "Shop", version: "1.0", castVersion: "-", fit: []bool{true, false, true, false, false}},
		{class: "Shop", version: "2.0", fit: []bool{true, false, false, true, false}},
		{class: "Shop", version: "1.0", castVersion: "1.1", fit: []bool{true, false, true, false, false}},
		{class: "Shop", version: "[1.0,2.0)", castVersion: "-", fit: []bool{true, false, true, false, false}},
		{class: "Shop", version: "[1.0,)", castVersion: "-", fit: []bool{true, true, false, true, false}},
		{class: "Shop", version: "latest", castVersion: "-", fit: []bool{true, true, false, true, false}},
		{class: "Shop", version: "3.0", castVersion: "1.2", fit: make([]bool, 5), unmet: "shop 3.0; smt 1.2"},
		{class: "Shop", version: "[1", castVersion: "-", fit: make([]bool, 5), unmet: "shop [1"},
		{
			class: "Other", version: "3.0", castVersion: "-", fit: make([]bool, 5),
			unmet: "Other of no plugin of the leader",
		},
	} {
		settings := map[string]string{"name": "c", "connector.class": c.class}
		if c.version != "" {
			settings["connector.plugin.version"] = c.version
		}
		if c.castVersion != "-" {
			for key, value := range stage {
				settings[key] = value
			}
			if c.castVersion != "" {
				settings["transforms.x.plugin.version"] = c.castVersion
			}
		}
		fit, unmet := l.eligible(simConnector(t, settings), members)
		assert.Equal(t, c.fit, fit, c, "members that fit")
		assert.Equal(t, c.unmet, unmet, c, "what no member has")
	}
	_, unmet := l.eligible(simConnector(t, map[string]string{"name": "c", "connector.class": "Shop"}), members[2:3])
	assert.Equal(t, "shop 2.0 with the hash 5fe2, which the group uses: culvert plugins swap selects another", unmet)
}

// The leader does not depend on the order in which the coordinator lists the members, and ignores a member whose
// metadata is damaged.
func TestLeaderIsIndependentOfMemberOrder(t *testing.T) {
	t.Parallel()
	l := newLeader(&Worker{options: WorkerOptions{Logger: slog.New(slog.DiscardHandler)}})
	member := func(id string) JoinedMember {
		m, err := Metadata{URL: "http://" + id}.Encode()
		require.NoError(t, err)
		return JoinedMember{ID: id, Metadata: m}
	}
	a := member("a")
	b := member("b")
	odd := JoinedMember{ID: "odd"}
	want, _, _ := l.decodeMembers([]JoinedMember{a, b})
	assert.Equal(t, 2, len(want), "members")
	got, _, _ := l.decodeMembers([]JoinedMember{b, odd, a})
	assert.Equal(t, want, got, "members in another order")
}
