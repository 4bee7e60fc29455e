package main

import (
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/plugins/odata/service"
	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/sdk/go/pack"
	"github.com/culvert-project/culvert/wit"
)

// odp is what an ODP service has beside a set, as requests name it.
type odp struct{ links, subscribed, terminate string }

// track finds out how the service tracks changes of a set, and in which format they are asked for.
func (f *Feed) track(m *edm.Model, set *edm.Set) error {
	if !f.tracking.on {
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
		f.odp = &odp{links: service.Address(links), subscribed: subscribed, terminate: function("TerminateDeltasFor")}
	}
	if !f.formatted {
		// SAP Gateway tells of deleted entities in Atom only; ODP's are rows like others.
		f.atom = f.odp == nil
	} else if !f.atom && f.odp == nil {
		sdk.Log(wit.LevelWarn, "entity set "+f.set+" of "+f.service+": SAP Gateway does not tell of "+
			"deleted entities in JSON; "+f.setting(nameFormat)+" = atom, or none, does")
	}
	if f.odp == nil && !f.announced {
		sdk.Log(wit.LevelInfo, "entity set "+f.set+" of "+f.service+": $metadata announces no change tracking; the "+
			"end of the first load shows whether there is a delta link")
	}
	return nil
}

func (o *odp) pack(b []byte) []byte {
	if o == nil {
		return pack.Flag(b, false)
	}
	return pack.Text(pack.Text(pack.Text(pack.Flag(b, true), o.links), o.subscribed), o.terminate)
}

func unpackODP(r *pack.Reader) *odp {
	if !r.Flag() {
		return nil
	}
	return &odp{links: r.Text(), subscribed: r.Text(), terminate: r.Text()}
}

// subscribable finds where the service keeps subscriptions to a set.
func (f *Feed) subscribable(m *edm.Model) error {
	if !f.subscribing.on {
		return nil
	}
	name := f.setting(nameSubscription)
	if m.Set(f.set) == nil {
		return fault.Config(name, f.set+" of "+f.service+" is a function import, and a service takes "+
			"subscriptions to entity sets only")
	}
	if f.subscribing.collection = collectionOf(m); f.subscribing.collection == "" {
		return fault.Config(name, "the service "+f.service+" takes no subscriptions: it has no entity set "+
			collectionName)
	}
	if f.named() && len(f.structure().Key) == 0 {
		return fault.Config(name, "entities of "+f.set+" of "+f.service+" have no key by which one "+
			"that changed could be read")
	}
	return nil
}

// collectionOf is the entity set of a service's subscriptions, "" where it has none.
func collectionOf(m *edm.Model) string {
	for _, s := range m.Sets {
		if s.Subscription || s.Name == collectionName {
			return service.Address(s)
		}
	}
	return ""
}

// collectionName is the entity set of subscriptions where no annotation names it (SAP Gateway's notification model).
const collectionName = "SubscriptionCollection"
