package kafka

import (
	"testing"

	"github.com/culvert-project/culvert/host/internal/base/require"
	"github.com/culvert-project/culvert/host/kafka/kafkatest"
)

// Administrators of equal settings share one client, those of others do not; the last one to go ends it, closing twice
// counts once, and who comes then gets another.
func TestAdministratorsShareAClient(t *testing.T) {
	address, connections := counted(t)
	ctx := kafkatest.Context(t)
	c := shareable(t, address)
	of := func(key string) *Admin {
		own, _, err := c.Override(t.Context(), nil) // as each connector has it
		require.NoError(t, err)
		a, err := own.SharedAdmin(key, "connector-adminclient")
		require.NoError(t, err)
		return a
	}
	ask := func(a *Admin) {
		t.Helper()
		if _, err := a.EnsureTopics(ctx, Topic{Name: "orders"}); err != nil {
			t.Fatal(err)
		}
	}
	var all []*Admin
	for range 50 {
		all = append(all, of(""))
	}
	for _, a := range all {
		ask(a)
	}
	if n := connections.Load(); n > 5 {
		t.Errorf("50 administrators of equal settings: %d connections", n)
	}
	other := of("other")
	ask(other)
	if other.client == all[0].client {
		t.Error("other settings, and the same client")
	}
	for _, a := range all[1:] {
		a.Close()
		a.Close()
	}
	ask(all[0])
	all[0].Close()
	if len(c.shared.administering) != 1 {
		t.Errorf("expected the client of the other one alone, found %d", len(c.shared.administering))
	}
	again := of("")
	if ask(again); again.client == all[0].client {
		t.Error("a client that was ended is used again")
	}
	again.Close()
	other.Close()
	if n := len(c.shared.administering); n != 0 {
		t.Errorf("%d clients are left", n)
	}
}
