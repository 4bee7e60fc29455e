import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

import org.apache.kafka.connect.runtime.isolation.PluginUtils;
import org.apache.maven.artifact.versioning.DefaultArtifactVersion;
import org.apache.maven.artifact.versioning.InvalidVersionSpecificationException;
import org.apache.maven.artifact.versioning.VersionRange;

/**
 * Reads version ranges as Kafka Connect does: java -cp 'LIB/*' Versions.java FILE. A line of FILE has a range and a
 * version, separated by a tab. Each line is printed with the range as Maven prints it and whether it contains the
 * version, or with an error after "!".
 */
public class Versions {
    public static void main(String[] args) throws IOException {
        for (String line : Files.readAllLines(Path.of(args[0]))) {
            String[] parts = line.split("\t", 3);
            String result;
            try {
                VersionRange range = PluginUtils.connectorVersionRequirement(parts[0]);
                result = range == null ? "\ttrue" : range + "\t" + range.containsVersion(new DefaultArtifactVersion(parts[1]));
            } catch (InvalidVersionSpecificationException e) {
                result = "!" + e.getMessage() + "\tfalse";
            }
            System.out.println(parts[0] + "\t" + parts[1] + "\t" + result);
        }
    }
}
