import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.text.ParseException;
import java.time.Instant;
import java.util.Date;
import java.util.StringJoiner;
import java.util.TimeZone;
import org.quartz.CronExpression;

/**
 * Reads lines with an expression, a time zone, a time and a number, separated by tabs. For each it prints a line with so
 * many next times of Quartz, or fewer if the expression has no others.
 */
public class Starts {
  public static void main(String[] args) throws Exception {
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
    for (String line; (line = in.readLine()) != null; ) {
      String[] parts = line.split("\t");
      StringJoiner starts = new StringJoiner(" ");
      try {
        CronExpression expression = new CronExpression(parts[0]);
        expression.setTimeZone(TimeZone.getTimeZone(parts[1]));
        Date time = Date.from(Instant.parse(parts[2]));
        for (int i = 0; i < Integer.parseInt(parts[3]); i++) {
          time = expression.getNextValidTimeAfter(time);
          if (time == null) {
            break;
          }
          starts.add(time.toInstant().toString());
        }
        System.out.println(starts);
      } catch (ParseException | RuntimeException e) {
        System.out.println(e);
      }
    }
  }
}
