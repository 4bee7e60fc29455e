//go:build real

package real

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/porttest"
)

// rightsWithin limits a worker that lacks a right: one that waits forever would report nothing.
const rightsWithin = 2 * time.Minute

// TestRealRights lets a worker log on to Apache Kafka as a user who lacks one right, by the brokers' own authorizer: it
// ends, and its message names the right and the resource. With all rights it works.
func TestRealRights(t *testing.T) {
	t.Parallel()
	p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 5})
	dir, port, secure, more := t.TempDir(), e2etest.FreePort(t), e2etest.FreePort(t),
		filepath.Join(t.TempDir(), "broker.properties")
	settings := "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n" +
		"super.users=User:ANONYMOUS\nauto.create.topics.enable=false\n"
	e2etest.NoError(t, os.WriteFile(more, []byte(settings), 0o600))
	e2etest.StartPeer(t, "kafka/start-broker.sh", dir, []string{"CONTROLLER_PORT=" + e2etest.FreePort(t),
		"SASL_PORT=" + secure, "BROKER_PROPS=" + more}, port, dir)
	client := e2etest.Client(t, "127.0.0.1:"+port)
	admin := kadm.NewClient(client)
	const user = "User:user"
	set := func(b *kadm.ACLBuilder) {
		t.Helper()
		if _, err := admin.CreateACLs(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	set(kadm.NewACLs().Topics("*").Groups("*").TransactionalIDs("*").Clusters().Operations(kadm.OpAll).
		ResourcePatternType(kadm.ACLPatternLiteral).Allow(user).AllowHosts("*"))
	// Brokers learn of rights from their controllers.
	holds := func(some bool) {
		t.Helper()
		(&e2etest.ExactPeer{T: t, Servers: "127.0.0.1:" + port}).Asked("rights", func(ctx context.Context,
			admin *kadm.Client) (bool, error) {
			found, err := admin.DescribeACLs(ctx, kadm.NewACLs().AnyResource().Deny().DenyHosts().Operations().
				ResourcePatternType(kadm.ACLPatternAny))
			have := 0
			for _, f := range found {
				have += len(f.Described)
			}
			return have > 0 == some, err
		})
	}
	worker := func(name string, lines ...string) string {
		return p.File(name+"-worker.properties", e2etest.Instead([]string{"bootstrap.servers=127.0.0.1:" + secure,
			"listeners=", "security.protocol=SASL_SSL", "sasl.mechanism=PLAIN", "offset.storage.partitions=1",
			`sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required ` +
				`username="user" password="user-secret";`,
			"ssl.truststore.location=" + filepath.Join(dir, "tls", "trust.p12"), "ssl.truststore.password=changeit"},
			lines...)...)
	}
	run := func(worker string, connector ...string) e2etest.Result {
		c := p.StartFor(rightsWithin, "run", "--once", "--plugins", e2etest.Plugins(t, "odata-sink"), "--data",
			e2etest.NewPlace(t).Data,
			worker, p.File("connector.properties", append(connector, e2etest.Silent)...))
		return c.Wait()
	}
	source := func(name string) []string { return e2etest.Source(name, address, "Orders") }
	sink := func(name string) []string {
		return append(e2etest.SinkOf(name, address, "Orders", "OrderCopies"), "sap.odata.operation.mode=upsert")
	}
	atLeast, exactly := worker("atleast"), worker("exactly", "group.id=exact", "exactly.once.source.support=enabled")
	for _, r := range []e2etest.Result{run(atLeast, source("plain")...), run(exactly, source("exact")...),
		run(atLeast, sink("back")...)} {
		if r.Code != 0 {
			t.Fatalf("with all rights: exit %d\n%s", r.Code, r.Stderr)
		}
	}
	to := func(name, topic string) []string {
		return e2etest.Instead(source(name), "sap.odata#00.topic="+topic)
	}
	topic := func(name string, operations ...kadm.ACLOperation) *kadm.ACLBuilder {
		return kadm.NewACLs().Topics(name).Operations(operations...)
	}
	cases := []struct {
		name      string
		denied    []*kadm.ACLBuilder
		worker    string
		connector []string
		want      string
	}{
		{"transactional id", []*kadm.ACLBuilder{kadm.NewACLs().TransactionalIDs("exact-exact-0").Operations(
			kadm.OpWrite)},
			exactly, source("exact"), "the rights DESCRIBE and WRITE on the resource TransactionalId"},
		{"idempotent write", []*kadm.ACLBuilder{kadm.NewACLs().Clusters().Operations(kadm.OpIdempotentWrite),
			topic("*", kadm.OpWrite)}, atLeast, source("idempotent"),
			"the right IDEMPOTENT_WRITE on the resource Cluster"},
		{"create topic", []*kadm.ACLBuilder{topic("new", kadm.OpCreate),
			kadm.NewACLs().Clusters().Operations(kadm.OpCreate)},
			atLeast, to("creates", "new"), "the right CREATE on the resource Topic new"},
		{"see topic", []*kadm.ACLBuilder{topic("Orders", kadm.OpDescribe, kadm.OpWrite, kadm.OpRead)}, atLeast,
			source("sees"), "the right DESCRIBE on the resource Topic Orders"},
		{"write topic", []*kadm.ACLBuilder{topic("Orders", kadm.OpWrite)}, atLeast, source("writes"),
			"the right WRITE on the resource Topic Orders"},
		{"read offsets", []*kadm.ACLBuilder{topic("connect-offsets", kadm.OpRead)}, atLeast, source("begins"),
			"the right READ on the resource Topic connect-offsets"},
		{"write offsets", []*kadm.ACLBuilder{topic("connect-offsets", kadm.OpWrite)}, atLeast, source("stores"),
			"the right WRITE on the resource Topic connect-offsets"},
		{"write offsets in transactions", []*kadm.ACLBuilder{topic("connect-offsets", kadm.OpWrite)}, exactly,
			source("ends"), "the right WRITE on the resource Topic connect-offsets"},
		{"group", []*kadm.ACLBuilder{kadm.NewACLs().Groups("connect-back").Operations(kadm.OpRead)}, atLeast,
			sink("back"),
			"the right READ on the resource Group connect-back"},
		{"read topic", []*kadm.ACLBuilder{topic("Orders", kadm.OpRead)}, atLeast, sink("takes"),
			"the right READ on the resource Topic Orders"},
	}
	without := func(denied ...*kadm.ACLBuilder) {
		t.Helper()
		for _, d := range denied {
			set(d.ResourcePatternType(kadm.ACLPatternLiteral).Deny(user).DenyHosts("*"))
		}
		holds(true)
	}
	allow := func(denied ...*kadm.ACLBuilder) {
		t.Helper()
		for _, d := range denied {
			_, err := admin.DeleteACLs(t.Context(), d)
			e2etest.NoError(t, err)
		}
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			without(c.denied...)
			if r := run(c.worker, c.connector...); r.Code != 1 || !strings.Contains(r.LastLine(), c.want) {
				t.Errorf("expected exit 1 and %q, found %d\n%s", c.want, r.Code, r.Stderr)
			}
			allow(c.denied...)
			holds(false)
		})
	}
	// A worker of a group waits for these rights, and reports that.
	at := porttest.Address(t)
	lacking := map[string]*kadm.ACLBuilder{
		"the right READ on the resource Group g":        kadm.NewACLs().Groups("g").Operations(kadm.OpRead),
		"the right READ on the resource Topic g-states": topic("g-states", kadm.OpRead),
	}
	without(slices.Collect(maps.Values(lacking))...)
	w := p.Starts(at, "--plugins", e2etest.Plugins(t), "--data", e2etest.NewPlace(t).Data, worker("group", "group.id=g",
		"config.storage.topic=g-configs", "status.storage.topic=g-states", "offset.storage.topic=g-offsets",
		"config.storage.replication.factor=1", "offset.storage.replication.factor=1",
		"status.storage.replication.factor=1", "session.timeout.ms=6000", "listeners=http://"+at))
	for len(lacking) > 0 {
		w.Eventually("a right that it lacks", func() bool {
			for want, denied := range lacking {
				if strings.Contains(w.Stderr.String(), want) {
					allow(denied)
					delete(lacking, want)
					return true
				}
			}
			return false
		})
	}
	w.Changes()
	w.MustStop()
}
