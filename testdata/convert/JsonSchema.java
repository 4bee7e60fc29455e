import java.io.BufferedReader;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import org.everit.json.schema.Schema;
import org.everit.json.schema.ValidationException;
import org.everit.json.schema.loader.SchemaLoader;
import org.json.JSONObject;
import org.json.JSONTokener;

/**
 * Reads JSON Schemas with the library everit, with which Confluent's JsonSchemaConverter holds them, and writes them as that one
 * registers them: java -cp 'LIB/*' JsonSchema.java FILE. A line of FILE is a schema and a document with a tab between; each becomes a
 * line of the schema's text and what everit says of the document ("valid", or why not), with a tab between, or "!" and what was
 * thrown.
 */
public class JsonSchema {
    public static void main(String[] args) throws IOException {
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        ObjectMapper mapper = new ObjectMapper();
        mapper.enable(DeserializationFeature.USE_BIG_DECIMAL_FOR_FLOATS);
        mapper.setNodeFactory(JsonNodeFactory.withExactBigDecimals(true));
        try (BufferedReader lines = Files.newBufferedReader(Path.of(args[0]))) {
            for (String line; (line = lines.readLine()) != null; ) {
                String[] parts = line.split("\t", -1);
                try {
                    Schema schema = SchemaLoader.builder().useDefaults(true).draftV7Support()
                        .schemaJson(new JSONObject(parts[0])).build().load().build();
                    String verdict = "valid";
                    try {
                        schema.validate(new JSONTokener(parts[1]).nextValue());
                    } catch (ValidationException e) {
                        verdict = e.getAllMessages().toString();
                    }
                    out.println(mapper.writeValueAsString(mapper.readTree(schema.toString())) + "\t" + verdict);
                } catch (Exception | StackOverflowError e) {
                    out.println("!" + e.getClass().getName() + ": " + String.valueOf(e.getMessage()).replace('\n', ' ').replace('\t', ' '));
                }
            }
        }
        out.flush();
    }
}
