package feed

import (
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/entry"
	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/plugins/odata/service"
	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/sdk/go/pack"
	"github.com/culvert-project/culvert/wit"
)

// Track finds out how the service tracks changes of a set, and in which format they are asked for.
func (f *Feed) Track(m *edm.Model, set *edm.Set) error {
	if !f.Tracking.On {
		return nil
	}
	links := m.Set("DeltaLinksOf" + set.Name)
	function := func(prefix string) string {
		for _, fn := range m.Functions {
			if fn.Name == prefix+set.Name {
				return fn.Name
			}
		}
		return ""
	}
	if subscribed := function("SubscribedTo"); links != nil && subscribed != "" {
		f.ODP = &ODP{Links: service.Address(links), Subscribed: subscribed, Terminate: function("TerminateDeltasFor")}
	}
	if !f.Formatted {
		// SAP Gateway reports deleted entities in Atom only; ODP's are rows like others.
		f.Atom = f.ODP == nil
	} else if !f.Atom && f.ODP == nil {
		sdk.Log(wit.LevelWarn, "entity set "+f.Set+" of "+f.Service+": SAP Gateway does not report "+
			"deleted entities in JSON; "+f.Setting(entry.NameFormat)+" = atom, or none, does")
	}
	if f.ODP == nil && !f.Announced {
		sdk.Log(wit.LevelInfo, "entity set "+f.Set+" of "+f.Service+": $metadata announces no change tracking; the "+
			"end of the first load shows whether there is a delta link")
	}
	return nil
}

func (o *ODP) pack(b []byte) []byte {
	if o == nil {
		return pack.Bool(b, false)
	}
	return pack.String(pack.String(pack.String(pack.Bool(b, true), o.Links), o.Subscribed), o.Terminate)
}

func unpackODP(r *pack.Reader) *ODP {
	if !r.Bool() {
		return nil
	}
	return &ODP{Links: r.String(), Subscribed: r.String(), Terminate: r.String()}
}

// subscribable finds where the service keeps subscriptions to a set.
func (f *Feed) subscribable(m *edm.Model) error {
	if !f.Subscribing.On {
		return nil
	}
	name := f.Setting(entry.NameSubscription)
	if m.Set(f.Set) == nil {
		return fault.Config(name, f.Set+" of "+f.Service+" is no entity set of the service's, and it "+
			"takes subscriptions to such only")
	}
	if f.Subscriptions = CollectionOf(m); f.Subscriptions == "" {
		return fault.Config(name, "the service "+f.Service+" takes no subscriptions: it has no entity set "+
			CollectionName)
	}
	if f.Named() && len(f.Structure().Key) == 0 {
		return fault.Config(name, "entities of "+f.Set+" of "+f.Service+" have no key by which one "+
			"that changed could be read")
	}
	return nil
}

// CollectionOf is the entity set of a service's subscriptions, "" where it has none.
func CollectionOf(m *edm.Model) string {
	for _, s := range m.Sets {
		if s.Subscription || s.Name == CollectionName {
			return service.Address(s)
		}
	}
	return ""
}

// CollectionName is the entity set of subscriptions where no annotation names it (SAP Gateway's notification model).
const CollectionName = "SubscriptionCollection"
