package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/culvert-project/culvert/internal/cluster/groupview"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/plugin/version"
	"github.com/culvert-project/culvert/internal/resolved"
)

// assign computes the assignments of a new generation, see [Assign], after reading the config topic as far as the
// members. While it cannot be read, all members keep what they have.
func (l *leader) assign(self string, members []JoinedMember) (map[string][]byte, error) {
	decoded, offset, newest := l.decodeMembers(members)
	ctx, cancel := context.WithTimeout(context.Background(), l.worker.options.SyncTimeout)
	defer cancel()
	if err := l.worker.options.Log.Await(ctx, offset); err != nil {
		return nil, err
	}
	// The last plan counts only if it is of the group's last generation.
	last := l.worker.lastAssignment()
	l.mu.Lock()
	changes := l.changes
	state := l.state
	caughtUp := l.caughtUp
	previous := l.members
	former := l.former
	if l.generation < newest { // another worker has led since
		state = AssignorState{}
		previous = nil
		former = last.Former
		if last.LeaderURL != "" { // the only earlier member that is known: it may be lost
			previous = []Member{{Metadata: Metadata{URL: last.LeaderURL, Name: last.LeaderURL}}}
		}
	}
	l.mu.Unlock()
	// The connectors of the config topic.
	var readErr error
	if !caughtUp { // the topic may have become another group's while this one had no members
		readErr = l.worker.options.Log.Refresh(ctx)
	}
	snapshot, ok := l.worker.options.Store.Snapshot()
	if !ok {
		return nil, errors.New("the config topic was not read to its end yet")
	}
	if l.worker.options.Store.Group() != l.worker.options.Group.Group { // the group does not own the topic, or not yet
		snapshot.Connectors = nil // the annotation of this group triggers the next plan
	}
	began := time.Now()
	in := Input{Now: began, Delay: l.worker.options.RebalanceDelay, Members: decoded, State: state}
	var out Output
	if readErr == nil || snapshot.Connectors == nil {
		var connectors []Connector
		for _, c := range snapshot.Connectors {
			connector := Connector{Name: c.Name, Key: KeyOf(c.Name), Class: c.Text("connector.class"),
				Created: snapshot.ConfigOffsets[c.Name]}
			connector.Eligible, connector.Missing = l.eligible(c, decoded)
			if set := snapshot.TaskConfigs(c.Name); set != nil {
				connector.Version = set.Version
				connector.Tasks = len(set.Settings)
				connector.Claims = set.Requirements.Claims
				connector.Origin = set.Requirements.Origin
				connector.Requests = set.Requirements.Requests
				connector.PerSecond = set.Requirements.PerSecond
			}
			connectors = append(connectors, connector)
		}
		in.Connectors = connectors
		out = Assign(in)
	} else {
		out = freezePlan(decoded)
		out.Next = began.Add(replanDelay)
	}
	// Log the plan, make it the leader's, and encode the assignments.
	for name, reason := range out.Unplaced {
		if l.unplaced[name] != reason && !othersLeaving(decoded, "") { // not while all members shut down
			l.worker.options.Logger.Warn("a connector or its tasks are assigned to no worker", "connector", name,
				"reason", reason)
		}
	}
	l.worker.options.Logger.Debug("the leader has planned", "members", len(decoded),
		"connectors", len(snapshot.Connectors), "again", out.RejoinAfterRevoke, "took", time.Since(began))
	former = former.after(in, previous, out.State)
	l.mu.Lock()
	l.state = out.State
	l.former = former
	l.members = decoded
	l.targets = out.Targets
	l.planAt = out.Next
	l.plannedChanges = changes
	l.unplaced = out.Unplaced
	l.caughtUp = readErr == nil
	l.mu.Unlock()
	assignments, err := l.encodeAssignments(self, decoded, out, former, snapshot.Offset, began)
	l.recordProblems(decoded, recordSize(members, assignments), readErr)
	return assignments, err
}

// recordSize returns the bytes of all metadata and assignments, which brokers store as one record.
func recordSize(members []JoinedMember, assignments map[string][]byte) (size int) {
	for _, m := range members {
		size += len(m.Metadata) + len(assignments[m.ID])
	}
	return size
}

// decodeMembers decodes metadata and sorts members by ID, which decides ties. offset is the highest one that a member
// has read of the config topic, newest the newest generation with an assignment.
func (l *leader) decodeMembers(members []JoinedMember) (decoded []Member, offset int64, newest int32) {
	for _, member := range members {
		metadata, err := DecodeMetadata(member.Metadata)
		if err != nil { // it gets no assignment
			l.worker.options.Logger.Error("the metadata of a member cannot be decoded: it gets no assignment",
				"member", member.ID, "error", err)
			continue
		}
		newest = max(newest, metadata.Generation)
		if l.worker.readsSameTopic(metadata) {
			offset = max(offset, metadata.Offset)
		} else {
			metadata.Leaving = true // it must not run connectors of this topic
		}
		decoded = append(decoded, Member{ID: member.ID, Metadata: metadata})
	}
	slices.SortFunc(decoded, func(a, b Member) int { return cmp.Compare(a.ID, b.ID) })
	return decoded, offset, newest
}

func (l *leader) encodeAssignments(self string, members []Member, out Output, former formerMembers, offset int64,
	began time.Time) (map[string][]byte, error) {
	encoded := map[string][]byte{}
	for _, member := range members {
		assignment := Assignment{Leader: self, LeaderURL: l.worker.options.URL,
			RejoinAfterRevoke: out.RejoinAfterRevoke, Target: out.Targets[member.ID],
			Origins: out.Origins[member.ID], LastMember: othersLeaving(members, member.ID), Former: former}
		if l.worker.readsSameTopic(member.Metadata) {
			assignment.Offset = offset
		}
		if !out.Next.IsZero() {
			assignment.Delay = max(0, out.Next.Sub(began))
		}
		b, err := assignment.Encode()
		if err != nil {
			return nil, err
		}
		encoded[member.ID] = b
	}
	return encoded, nil
}

const replanDelay = 10 * time.Second

// freezePlan returns a plan in which members of the last generation keep what they own. Origins are unknown, so each
// member sends one request at a time.
func freezePlan(members []Member) Output {
	out := Output{Targets: map[string][]ResourceSet{}}
	newest := int32(0)
	for _, member := range members {
		newest = max(newest, member.Generation)
	}
	owners := map[Key][]ownedSet{}
	for member := range members {
		for _, owned := range members[member].Owned {
			owners[owned.Connector] = append(owners[owned.Connector], ownedSet{member, owned})
		}
	}
	for i, member := range members {
		if member.Leaving || member.Generation < newest {
			continue
		}
		var target []ResourceSet
		for _, owned := range member.Owned {
			remaining := ResourceSet{Connector: owned.Connector, Version: owned.Version}
			for index := range owned.Resources.All() {
				// Of two members with a resource, or with tasks of two versions, neither keeps it.
				if !slices.ContainsFunc(owners[owned.Connector], func(o ownedSet) bool {
					isOtherVersion := index > 0 && o.Version != owned.Version && o.Resources.HasTasks()
					return o.member != i && members[o.member].Generation == newest &&
						(o.Resources.Has(index) || isOtherVersion)
				}) {
					remaining.Resources.Add(index)
				}
			}
			if len(remaining.Resources) > 0 {
				target = append(target, remaining)
			}
		}
		out.Targets[member.ID] = target
		out.State.members = append(out.State.members, memberHistory{id: member.ID, name: member.Name, assigned: target})
	}
	return out
}

// othersLeaving reports whether all members but the one with the ID are leaving.
func othersLeaving(members []Member, id string) bool {
	return !slices.ContainsFunc(members, func(m Member) bool { return m.ID != id && !m.Leaving })
}

// requirement is a class that a connector needs. plugin is the name of the plugin that has it, as the leader knows it;
// version is a range, see [version.ParseRange].
type requirement struct {
	class   string
	plugin  string
	version string
	pin     groupview.Pin // of the plugin
}

func (l *leader) requirements(c *config.Connector) (needs []requirement) {
	pins := l.worker.pinnedVersions()
	for _, class := range resolved.PluginClasses(c) {
		name, pluginName := l.worker.options.ResolveClass(class.Class)
		needs = append(needs, requirement{name, pluginName, class.Version, pins[pluginName]})
	}
	return needs
}

// isMetBy reports whether a member has the version that it would run: the pinned one if the range contains it, else any
// in the range.
func (r requirement) isMetBy(m Member) bool {
	versions, err := version.ParseRange(r.version)
	if r.plugin == "" || versions.Contains(r.pin.Version) { // Classes are of the version that the member runs by itself
		return err == nil && slices.Contains(m.Classes, KeyOf(r.class))
	}
	return slices.ContainsFunc(m.Plugins, func(o plugin.Offer) bool {
		return o.Name == r.plugin && versions.Contains(o.Version) && !o.Rejected
	})
}

// eligible reports for each member whether it has all that a connector needs. If none has, missing says what.
func (l *leader) eligible(c *config.Connector, members []Member) (eligible []bool, missing string) {
	needs := l.requirements(c)
	for _, m := range members {
		eligible = append(eligible, !slices.ContainsFunc(needs, func(r requirement) bool { return !r.isMetBy(m) }))
	}
	if slices.Contains(eligible, true) {
		return eligible, ""
	}
	unmet := slices.DeleteFunc(slices.Clone(needs), func(need requirement) bool {
		return slices.ContainsFunc(members, need.isMetBy)
	})
	if len(unmet) == 0 { // some member has each, but none has all
		unmet = needs
	}
	var descriptions []string
	for _, need := range unmet {
		description := need.class + " of no plugin of the leader"
		switch {
		case need.plugin != "" && need.version != "":
			description = need.plugin + " " + need.version
		case need.pin.Hash == unreadablePin.Hash:
			description = fmt.Sprintf("the group's version of %s, whose record in the config topic has an unknown "+
				"format: culvert plugins swap selects another", need.plugin)
		case need.pin.Hash != "":
			description = fmt.Sprintf("%s %s with the hash %s, which the group uses: culvert plugins swap selects "+
				"another", need.plugin, need.pin.Version, need.pin.Hash)
		}
		if !slices.Contains(descriptions, description) {
			descriptions = append(descriptions, description)
		}
	}
	return eligible, strings.Join(descriptions, "; ")
}
