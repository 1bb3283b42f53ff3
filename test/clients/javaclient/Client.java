import java.io.InputStream;
import java.net.HttpURLConnection;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;

/** Asks for a URL as programs in Java do that know of no proxy, and prints status and answer. */
public class Client {
    public static void main(String[] args) {
        String bearer = "Bearer " + System.getenv("TOKEN");
        try {
            if (args[0].equals("URLConnection")) {
                connection(args[1], URI.create(args[2]), bearer);
            } else {
                client(args[1], URI.create(args[2]), bearer);
            }
        } catch (Exception e) {
            System.out.println(e);
            System.exit(1);
        }
    }

    static void connection(String method, URI url, String bearer) throws Exception {
        HttpURLConnection c = (HttpURLConnection) url.toURL().openConnection();
        c.setRequestMethod(method);
        c.setRequestProperty("Authorization", bearer);
        c.setConnectTimeout(20000);
        c.setReadTimeout(20000);
        int status = c.getResponseCode();
        InputStream body = status < 400 ? c.getInputStream() : c.getErrorStream();
        System.out.println(status + " " + (body == null ? "" : new String(body.readAllBytes())));
    }

    static void client(String method, URI url, String bearer) throws Exception {
        HttpRequest r = HttpRequest.newBuilder(url).method(method, HttpRequest.BodyPublishers.noBody())
            .header("Authorization", bearer).timeout(Duration.ofSeconds(20)).build();
        HttpResponse<String> got = HttpClient.newHttpClient().send(r, HttpResponse.BodyHandlers.ofString());
        System.out.println(got.statusCode() + " " + got.body());
    }
}
